package play

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/script"
)

// performance is a scenario being played: one goroutine, step by step. What must not come
// is shown by what comes next, or by quiet. It is a script.Player.
type performance struct {
	*control
	pair    Pair
	peers   map[string]peer
	seqno   map[string]uint64 // of the peer's next message
	sent    map[uint64]sentMessage
	cids    map[string]uint64
	reasons []string // of the flows that have ended
	begun   int      // flows of which that was seen
}

// sentMessage is what a peer has sent. Its granule tells it from all others.
type sentMessage struct {
	*zio.Message
	by string
}

// Play plays a scenario with peers of these transports. That the exchange did not go as it
// is written is a *script.Failure, which shows how far it came.
func (t *Target) Play(s *Scenario, pair Pair) error {
	c, err := t.open(s.Alone)
	if err != nil {
		return err
	}
	p := &performance{
		control: c, pair: pair,
		peers: map[string]peer{}, seqno: map[string]uint64{}, sent: map[uint64]sentMessage{}, cids: map[string]uint64{},
	}
	defer p.leave()
	if err := s.Play(p); err != nil {
		return err
	}
	if !s.Alone && c.conn != nil {
		err = c.lastOffer()
	}
	if err != nil {
		last := s.Lines[len(s.Lines)-1]
		return &script.Failure{Pos: last.Pos, Text: last.Text, Err: fmt.Errorf("after the end: %w", err)}
	}
	return nil
}

func (p *performance) leave() {
	for _, one := range p.peers {
		one.leave()
	}
	p.close()
}

// expand puts the cids in the place of their names, as far as they are known.
func (p *performance) expand(text string) string {
	return cidName.ReplaceAllStringFunc(text, func(name string) string {
		base, plus := strings.CutSuffix(name[1:], "+1")
		cid, known := p.cids[base]
		switch {
		case !known:
			return name
		case plus:
			cid++
		}
		return strconv.FormatUint(cid, 10)
	})
}

// Act implements script.Player.
func (p *performance) Act(l script.Line) error {
	rest := p.expand(l.Rest)
	words := l.Words()
	if l.Who == listenerName {
		return p.declineStep(rest)
	}
	name := l.Who
	if l.Kind == script.Event {
		name = words[0]
	}
	one, err := p.peer(name)
	switch {
	case err != nil:
		return err
	case l.Kind == script.Send:
		return p.send(name, one, rest)
	case words[1] == "leaves":
		delete(p.peers, name)
		one.leave()
		return nil
	default:
		return one.shut()
	}
}

// Expect implements script.Player.
func (p *performance) Expect(l script.Line) error {
	rest := p.expand(l.Rest)
	switch {
	case l.Who == flowName:
		return p.expectEnd(rest)
	case l.Who == listenerName && strings.HasPrefix(rest, "offer"):
		return p.expectOffer(l)
	case l.Who == listenerName:
		return p.expectWithdrawal(rest)
	}
	one, err := p.peer(l.Who)
	switch {
	case err != nil:
		return err
	case !l.Own && rest == nothing:
		return p.quiet(l.Who)
	default:
		return p.expect(l, one, rest)
	}
}

// Settle implements script.Player: at the end it checks that the scenario has told
// everything. No peer was sent anything else, no other flow has ended and none is left.
// The first round sees to it that all was processed that anybody sent.
func (p *performance) Settle(last bool) error {
	if !last {
		return nil
	}
	for range 2 {
		for _, name := range slices.Sorted(maps.Keys(p.peers)) {
			if err := p.quiet(name); err != nil {
				return err
			}
		}
	}
	if len(p.offers) > 0 {
		return fmt.Errorf("there was another offer: %s", (<-p.offers).GetBot().GetLabel())
	}
	return p.settled()
}

// quiet checks that a peer was sent nothing more.
func (p *performance) quiet(name string) error {
	one := p.peers[name]
	if one == nil {
		return fmt.Errorf("%s has left, or was never there", name)
	}
	if err := one.quiet(p.reasons); err != nil {
		return fmt.Errorf("want nothing more for %s: %w", name, err)
	}
	return nil
}

// peer attaches a peer when it is first named.
func (p *performance) peer(name string) (peer, error) {
	if one := p.peers[name]; one != nil {
		return one, nil
	}
	via := p.pair.Client
	if isHandler(name) {
		via = p.pair.Handler
	}
	one, err := p.target.dial(via)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p.peers[name] = one
	return one, nil
}

// send sends raw bytes or a message, which is numbered unless the step does.
func (p *performance) send(name string, to peer, text string) error {
	if raw, ok := strings.CutPrefix(text, "raw "); ok {
		parts, err := script.ParseBytes(raw)
		if err != nil {
			return err
		}
		return to.raw(parts)
	}
	in, err := parseMessage(text)
	if err != nil {
		return err
	}
	level, _, _ := in.Number("level")
	m := &zio.Message{Form: zio.FormFlow, Label: in.Label, Payload: in.Payload, Level: byte(level)}
	m.Granule = uint64(len(p.sent) + 1)
	m.Origin, _, _ = in.Number("origin")
	if head, err := zio.Peek(m.Label); err == nil && head.Type == zio.BOT {
		p.seqno[name] = 0
	}
	m.Seqno = p.seqno[name]
	if n, given, _ := in.Number("seqno"); given {
		m.Seqno = n
	}
	p.seqno[name] = m.Seqno + 1
	p.sent[m.Granule] = sentMessage{m, name}
	return to.send(m)
}

func (p *performance) declineStep(text string) error {
	words := script.Line{Rest: text}.Words()
	cid, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil {
		return err
	}
	detail, err := strconv.Unquote(words[2])
	if err != nil {
		return err
	}
	return p.decline(context.Background(), cid, detail)
}

// expect receives the next message and compares it with a step: one that the broker has
// made itself, or one that it has relayed.
func (p *performance) expect(l script.Line, from peer, text string) error {
	want, err := parseMessage(text)
	if err != nil {
		return err
	}
	m, err := from.recv()
	if err != nil {
		return &script.Difference{Want: text, Got: err.Error()}
	}
	sent, relayed := p.sent[m.Granule]
	switch {
	case l.Own && relayed:
		err = fmt.Errorf("want one that the broker makes, this is %s's", sent.by)
	case l.Own:
		err = script.SameValue(m.Label, want.Label)
	case !relayed:
		err = errors.New("nobody has sent that")
	case m.Type != zio.BOT && sent.by == l.Who:
		err = fmt.Errorf("it is %s's own", l.Who)
	case m.Type == zio.BOT:
		err = script.SameValue(m.Label, want.Label)
	case !bytes.Equal(m.Label, want.Label):
		err = errors.New("the label differs")
	}
	if err == nil && relayed {
		err = sameEnvelope(m.Message, sent.Message)
	}
	if err == nil {
		err = sameRest(want, m.Message)
	}
	if err != nil {
		return &script.Difference{Want: text, Got: describe(m.Message), Reason: err.Error()}
	}
	return nil
}

// describe is a message as scripts have it, with what does not fit on a screen left out.
func describe(m *zio.Message) string {
	shown := script.Message{Label: m.Label, Payload: m.Payload}
	const most = 2000
	text := shown.String()
	if len(text) > most {
		text = fmt.Sprintf("%s… (%d bytes)", text[:most], m.Size())
	}
	return fmt.Sprintf("%s seqno %d origin %d granule %d level %d", text, m.Seqno, m.Origin, m.Granule, m.Level)
}

// sameEnvelope compares all but the label with what was sent (BRK-4).
func sameEnvelope(got, sent *zio.Message) error {
	if got.Coord != sent.Coord || got.Level != sent.Level || got.Form != sent.Form {
		return fmt.Errorf("the coord or level differs from what was sent: seqno %d origin %d granule %d level %d",
			sent.Seqno, sent.Origin, sent.Granule, sent.Level)
	}
	return script.SamePayload(got.Payload, sent.Payload)
}

// sameRest compares what a step says beside the label.
func sameRest(want script.Message, got *zio.Message) error {
	have := map[string]uint64{
		"seqno": got.Seqno, "origin": got.Origin, "granule": got.Granule, "level": uint64(got.Level),
	}
	for _, pair := range want.Words {
		n, _, err := want.Number(pair.Word)
		if err != nil {
			return err
		}
		if have[pair.Word] != n {
			return fmt.Errorf("%s is %d, want %d", pair.Word, have[pair.Word], n)
		}
	}
	return script.SamePayload(got.Payload, want.Payload)
}

// expectOffer compares the next offer with a step, and names its cid.
func (p *performance) expectOffer(l script.Line) error {
	offer, err := await(p.offers, p.target.Patience)
	if err != nil {
		return &script.Difference{Want: l.Text, Got: err.Error()}
	}
	if err := p.nameCID(l.Rest, offer.GetCid()); err != nil {
		return err
	}
	text := strings.TrimPrefix(p.expand(l.Rest), "offer")
	want, err := parseMessage(text)
	if err != nil {
		return err
	}
	bot := messageOf(offer.GetBot())
	sent, relayed := p.sent[bot.Granule]
	if err = script.SameValue(bot.Label, want.Label); err == nil && relayed {
		err = sameEnvelope(bot, sent.Message)
	} else if err == nil {
		err = errors.New("nobody has sent that")
	}
	if err == nil {
		err = sameRest(want, bot)
	}
	if err != nil {
		return &script.Difference{Want: "offer" + text, Got: "offer " + describe(bot), Reason: err.Error()}
	}
	return nil
}

// nameCID keeps the cid under the name that a step has for it, and checks what is true of
// every cid (BRK-5).
func (p *performance) nameCID(text string, cid uint64) error {
	name := cidName.FindStringSubmatch(text)
	switch {
	case name == nil:
		return errors.New("the step names no cid")
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
	w, err := await(p.gone, p.target.Patience)
	if err != nil {
		return &script.Difference{Want: text, Got: err.Error()}
	}
	if got := fmt.Sprintf("withdrawn %d %s", w.GetCid(), reasonOf(w.GetReason())); got != text {
		return &script.Difference{Want: text, Got: got}
	}
	return nil
}

// expectEnd waits for the next flow to end, and compares the reason and, where the step
// has them, the counts of DATs and of bytes in them. Where flows are not shown it takes
// the step's word.
func (p *performance) expectEnd(text string) error {
	want := strings.Fields(text)
	if want[0] == "begun" {
		return p.expectBegun(text, want[1])
	}
	if !p.watching {
		p.reasons = append(p.reasons, want[1])
		return nil
	}
	f, err := await(p.ends, p.target.Patience)
	if err != nil {
		d := &script.Difference{Want: text, Got: err.Error()}
		if open := p.settled(); open != nil {
			d.Reason = open.Error()
		}
		return d
	}
	p.told[f.GetId()] = true
	p.reasons = append(p.reasons, reasonOf(f.GetReason()))
	got := []string{"ended", reasonOf(f.GetReason())}
	if !slices.Equal(got, want[:2]) {
		return &script.Difference{Want: text, Got: strings.Join(got, " "), Reason: f.GetDetail()}
	}
	return p.counted(f, text, want[2:])
}

// expectBegun waits until so many flows of the scenario have begun.
func (p *performance) expectBegun(text, want string) error {
	n, err := strconv.Atoi(want)
	for err == nil && p.watching && p.begun < n {
		if _, err = await(p.begins, p.target.Patience); err != nil {
			return &script.Difference{Want: text, Got: err.Error()}
		}
		p.begun++
	}
	return err
}

// counted compares the counts of a flow's DATs and of the bytes in them, which the broker
// shows to a filter only.
func (p *performance) counted(f *gatewayv1.Flow, text string, want []string) error {
	filter := fmt.Sprintf("id == %d", f.GetId())
	for i, value := range want {
		filter += fmt.Sprintf(" && %s == %s", []string{"messages", "bytes"}[i], value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.target.Patience)
	defer cancel()
	found, err := gatewayv1.NewAdminServiceClient(p.conn).ListFlows(ctx, &gatewayv1.ListFlowsRequest{Filter: filter})
	if err == nil && len(found.GetFlows()) == 0 {
		dats, bytes := f.GetFromClient().GetDats()+f.GetFromHandler().GetDats(), f.GetFromClient().GetBytes()+f.GetFromHandler().GetBytes()
		err = &script.Difference{Want: text, Got: fmt.Sprintf("%d DATs, with %d bytes in all messages", dats, bytes)}
	}
	return err
}
