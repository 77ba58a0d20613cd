package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// expect receives the next message and compares it with a step: one that the
// gateway has made itself, or one that it has relayed.
func (p *performance) expect(name string, from scriptPeer, text string, own bool) error {
	want, err := parseMessage(text)
	if err != nil {
		return err
	}
	m, err := from.recv()
	if err != nil {
		return fmt.Errorf("want  %s\n        got   %w", text, err)
	}
	sent, relayed := p.sent[m.Granule]
	switch {
	case own && relayed:
		err = fmt.Errorf("want one that the gateway makes, this is %s's", sent.by)
	case own:
		err = sameValue(m.Label, want.label)
	case !relayed:
		err = fmt.Errorf("nobody has sent that")
	case m.Type != zio.BOT && sent.by == name:
		err = fmt.Errorf("it is %s's own", name)
	case m.Type == zio.BOT:
		err = sameValue(m.Label, want.label)
	case !bytes.Equal(m.Label, want.label):
		err = fmt.Errorf("the label differs")
	}
	if err == nil && relayed {
		err = sameEnvelope(m.Message, sent.Message)
	}
	if err == nil {
		err = want.sameRest(m.Message)
	}
	if err != nil {
		return fmt.Errorf("want  %s\n        got   %s\n        %w", text, describe(m.Message), err)
	}
	return nil
}

// describe is a message as scripts have it.
func describe(m *zio.Message) string {
	text := string(m.Label)
	for _, part := range m.Payload {
		if len(part) > 100 {
			text += fmt.Sprintf(" *%d", len(part))
		} else {
			text += fmt.Sprintf(" %q", part)
		}
	}
	return fmt.Sprintf("%s seqno %d origin %d granule %d level %d", text, m.Seqno, m.Origin, m.Granule, m.Level)
}

// sameEnvelope compares all but the label with what was sent (BRK-4).
func sameEnvelope(got, sent *zio.Message) error {
	if got.Coord != sent.Coord || got.Level != sent.Level || got.Form != sent.Form {
		return fmt.Errorf("the coord or level differs from what was sent: seqno %d origin %d granule %d level %d",
			sent.Seqno, sent.Origin, sent.Granule, sent.Level)
	}
	return samePayload(got.Payload, sent.Payload)
}

func samePayload(got, want [][]byte) error {
	if !slices.EqualFunc(got, want, bytes.Equal) {
		return fmt.Errorf("the payload is %v bytes, want %v bytes", partSizes(got), partSizes(want))
	}
	return nil
}

// sameRest compares what a step says beside the label.
func (want scriptMessage) sameRest(got *zio.Message) error {
	have := map[string]uint64{
		"seqno": got.Seqno, "origin": got.Origin, "granule": got.Granule, "level": uint64(got.Level),
	}
	for _, word := range slices.Sorted(maps.Keys(want.numbers)) {
		if n, ok := have[word]; !ok || n != want.numbers[word] {
			return fmt.Errorf("%s is %d, want %d", word, n, want.numbers[word])
		}
	}
	return samePayload(got.Payload, want.payload)
}

// sameValue compares labels as parsed JSON: spacing and order may differ. A
// "*" in the one that is wanted stands for any text.
func sameValue(got, want []byte) error {
	var values [2]map[string]any
	for i, label := range [][]byte{got, want} {
		decoder := json.NewDecoder(bytes.NewReader(label))
		decoder.UseNumber()
		if err := decoder.Decode(&values[i]); err != nil {
			return fmt.Errorf("label %s: %w", label, err)
		}
	}
	for key, value := range values[1] {
		if _, isText := values[0][key].(string); isText && value == "*" {
			values[0][key] = value
		}
	}
	if !reflect.DeepEqual(values[0], values[1]) {
		return fmt.Errorf("the label's value differs")
	}
	return nil
}

// expectOffer compares the next offer with a step, and names its cid.
func (p *performance) expectOffer(text string) error {
	o, err := await(p.offers)
	if err != nil {
		return fmt.Errorf("want offer %s: %w", text, err)
	}
	if err := p.nameCID(text, o.CID); err != nil {
		return err
	}
	want, err := parseMessage(p.expand(text))
	if err != nil {
		return err
	}
	sent, relayed := p.sent[o.Bot.Granule]
	if err = sameValue(o.Bot.Label, want.label); err == nil && relayed {
		err = sameEnvelope(o.Bot, sent.Message)
	} else if err == nil {
		err = fmt.Errorf("nobody has sent that")
	}
	if err == nil {
		err = want.sameRest(o.Bot)
	}
	if err != nil {
		return fmt.Errorf("want  offer %s\n        got   %s\n        %w", p.expand(text), describe(o.Bot), err)
	}
	return nil
}

// nameCID keeps the cid under the name that a step has for it, and checks what
// is true of every cid (BRK-5).
func (p *performance) nameCID(text string, cid uint64) error {
	name := cidName.FindStringSubmatch(text)
	switch {
	case name == nil:
		return fmt.Errorf("the offer names no new cid")
	case cid == 0 || cid > zio.MaxCID:
		return fmt.Errorf("cid %d is not between 1 and 2^53-1", cid)
	}
	for other, known := range p.cids {
		if known-1 <= cid && cid <= known+1 {
			return fmt.Errorf("cid %d is next to $%s, %d", cid, other, known)
		}
	}
	p.cids[name[1]] = cid
	return nil
}

// expectWithdrawal compares the next offer that becomes void with a step.
func (p *performance) expectWithdrawal(text string) error {
	got, err := await(p.withdrawals)
	if err == nil && got != text {
		err = fmt.Errorf("got   withdrawn %s", got)
	}
	return err
}

// see keeps account of a flow's phases.
func (p *performance) see(e broker.Event) broker.FlowInfo {
	switch e.Flow.Phase {
	case flow.Pending:
		p.live[e.Flow.ID] = true
	case flow.Ended:
		delete(p.live, e.Flow.ID)
	}
	return *e.Flow
}

// expectEnd waits for the next flow to end, and compares the reason and, where
// the step has them, the counts of DATs and of bytes in them.
func (p *performance) expectEnd(text string) error {
	for {
		e, err := await(p.watcher.Events())
		if err != nil {
			return fmt.Errorf("want a flow to end %s: %w", text, err)
		}
		if f := p.see(e); f.Phase == flow.Ended {
			p.reasons = append(p.reasons, f.Reason.String())
			return sameEnd(f, strings.Fields(text))
		}
	}
}

func sameEnd(f broker.FlowInfo, want []string) error {
	got := []string{f.Reason.String(), strconv.FormatUint(f.Data.Messages, 10), strconv.FormatUint(f.Data.Bytes, 10)}
	if !slices.Equal(got[:min(len(want), len(got))], want) {
		return fmt.Errorf("want  flow ends %s\n        got   flow ends %s (%s)",
			strings.Join(want, " "), strings.Join(got, " "), f.Detail)
	}
	return nil
}
