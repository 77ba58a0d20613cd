package flow_test

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/script"
	"github.com/zioflow/gateway/internal/script/scripttest"
)

// TestScripts plays the exchanges in testdata, in the language of docs/scripts.md. After
// every act stands what the flow makes of it, whole. Rewrite that with -rewrite.
//
//	open extract|inject                the client's BOT has come
//	accept OFFER ANSWER [LIMIT]        the handler's, with that credit; - for none
//	SIDE> LABEL [queued N]             a message, while N messages wait for the other side
//	SIDE shuts · SIDE leaves
//	room WINDOW QUEUED                 what the taker's side has room for
//	stop REASON ["DETAIL"]
//
// `flow<` is the phase, with credit released/agreed, the reason and its detail; `giver<*`
// is credit that was withheld.
func TestScripts(t *testing.T) {
	t.Parallel()
	scripttest.Run(t, "testdata", nil, func(_ *testing.T, _ *script.Scenario, do func(scripttest.Recorded)) {
		do(&player{})
	})
}

type player struct {
	script.Record
	state flow.State
	seqno [2]uint64
}

// Act implements script.Player.
func (p *player) Act(l script.Line) error {
	if words := l.Words(); l.Kind == script.Event && words[0] == "open" {
		p.seqno = [2]uint64{1, 0}
		direction := zio.Extract
		if words[1] == "inject" {
			direction = zio.Inject
		}
		p.state = flow.Open(direction, 0)
	} else {
		event, sent, err := p.event(l)
		if err != nil {
			return err
		}
		var fx flow.Effects
		p.state, fx = p.state.Step(event)
		p.effects(l.Who, sent, fx)
	}
	p.Came("flow< " + p.phase())
	return nil
}

// event is what a line says, with the type of a message that it sends.
func (p *player) event(l script.Line) (flow.Event, zio.Type, error) {
	if l.Kind == script.Send {
		return p.message(l)
	}
	words := l.Words()
	switch words[0] {
	case "accept":
		limit := int64(1000)
		if len(words) > 3 {
			limit = number(words[3]).Value
		}
		credit, ok := flow.Agree(number(words[1]), number(words[2]), limit)
		if !ok {
			return flow.Event{}, 0, fmt.Errorf("no credit agreed")
		}
		p.seqno[flow.Handler]++
		return flow.Accepted(credit, 0), 0, nil
	case "room":
		return flow.WindowUpdate(number(words[1]).Value, number(words[2]).Value), 0, nil
	case "stop":
		for _, r := range flow.Reasons() {
			if r.String() == words[1] {
				detail, err := strconv.Unquote(cmp.Or(strings.Join(words[2:], " "), `""`))
				return flow.Stopped(r, detail), 0, err
			}
		}
		return flow.Event{}, 0, fmt.Errorf("unknown reason")
	}
	side, err := sideOf(words[0])
	switch {
	case err != nil:
		return flow.Event{}, 0, err
	case words[1] == "shuts":
		return flow.CloseSend(side), 0, nil
	case words[1] == "leaves":
		return flow.Left(side, "connection closed"), 0, nil
	}
	return flow.Event{}, 0, fmt.Errorf("unknown event")
}

func sideOf(name string) (flow.Side, error) {
	switch name {
	case "client":
		return flow.Client, nil
	case "handler":
		return flow.Handler, nil
	}
	return 0, fmt.Errorf("%s is neither client nor handler", name)
}

func (p *player) message(l script.Line) (flow.Event, zio.Type, error) {
	side, err := sideOf(l.Who)
	if err != nil {
		return flow.Event{}, 0, err
	}
	m, err := script.ParseMessage(l.Rest)
	if err == nil {
		err = m.Only("queued")
	}
	if err != nil {
		return flow.Event{}, 0, err
	}
	head, err := zio.Peek(m.Label)
	if err != nil {
		return flow.Event{}, 0, err
	}
	queued, _, err := m.Number("queued")
	seqno := p.seqno[side]
	p.seqno[side]++
	return flow.Received(side, head, seqno, int64(queued)), head.Type, err
}

func number(word string) zio.Number {
	if word == "-" {
		return zio.Number{}
	}
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return zio.Number{Form: zio.NotInteger}
	}
	return zio.Number{Value: n, Form: zio.Integer}
}

// effects tells who is sent what.
func (p *player) effects(from string, sent zio.Type, fx flow.Effects) {
	if fx.Bots {
		p.Came("handler< BOT")
		p.Came("client< BOT")
	}
	if fx.Relay {
		to := "handler"
		if from == "handler" {
			to = "client"
		}
		line := fmt.Sprintf("%s< %v", to, sent)
		if fx.Credit > 0 {
			line += fmt.Sprintf(" %d", fx.Credit)
		}
		p.Came(line)
	}
	if fx.DeferredPay > 0 {
		p.Came(fmt.Sprintf("giver<* PAY %d seqno %d", fx.DeferredPay, fx.DeferredSeqno))
	}
	for side, eot := range fx.EOT {
		if !eot.Send {
			continue
		}
		label := `{"flow":"EOT","error":"*"}`
		if eot.Plain {
			label = "EOT"
		}
		p.Came(fmt.Sprintf("%v<* %s seqno %d", flow.Side(side), label, eot.Seqno))
	}
}

// phase describes the state.
func (p *player) phase() string {
	var out strings.Builder
	fmt.Fprint(&out, p.state.Phase())
	if c := p.state.Credit(); c.Total() > 0 {
		fmt.Fprintf(&out, " %d/%d", c.Released(), c.Total())
		if c.Withheld() > 0 {
			fmt.Fprintf(&out, " withheld %d", c.Withheld())
		}
	}
	if p.state.Phase() == flow.Ended {
		fmt.Fprintf(&out, " %v", p.state.Reason())
		if d := p.state.Detail(); d != "" {
			fmt.Fprintf(&out, " %q", d)
		}
	}
	return out.String()
}

func TestAgree_FLOW_2_FLOW_3_BRK_21(t *testing.T) {
	t.Parallel()
	absent := zio.Number{}
	n := func(v int64) zio.Number { return zio.Number{Value: v, Form: zio.Integer} }
	for _, tt := range []struct {
		offer, answer zio.Number
		limit, want   int64
	}{
		{n(4), n(2), 1000, 2},
		{n(4), n(100), 1000, 4},
		{n(4), absent, 1000, 4},
		{n(4), n(0), 1000, 4},
		{n(4), n(-3), 1000, 4},
		{absent, n(7), 1000, 7},
		{n(0), n(7), 1000, 7},
		{n(5000), n(5000), 1000, 1000},
		{n(math.MaxInt64), n(1), 1000, 1},
		{absent, absent, 1000, 0},
		{n(-1), n(0), 1000, 0},
	} {
		got, ok := flow.Agree(tt.offer, tt.answer, tt.limit)
		if ok != (tt.want > 0) || ok && got.Total() != tt.want {
			t.Errorf("offer %v, answer %v: got %d %v, want %d", tt.offer, tt.answer, got.Total(), ok, tt.want)
		}
	}
}

func TestReasonsAreNamed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range flow.Reasons() {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("reason %d has the name %q", r, r)
		}
		seen[r.String()] = true
	}
	if len(seen) != 15 {
		t.Errorf("%d reasons, the contract has 15", len(seen))
	}
}

// FuzzStep holds every state that a sequence of events can reach against what
// must be true of all of them.
func FuzzStep(f *testing.F) {
	f.Add(true, []byte{0, 1, 2, 3, 40, 41, 90, 200})
	f.Add(false, []byte{3, 3, 3, 17, 19, 33, 35, 60})
	f.Fuzz(func(t *testing.T, extract bool, script []byte) {
		direction := zio.Inject
		if extract {
			direction = zio.Extract
		}
		var (
			s        = flow.Open(direction, 0)
			sent     [2]int // EOTs sent to a side
			dats     int64  // relayed
			payments int64  // relayed
		)
		for i, b := range script {
			event, head, from := fuzzEvent(b, uint64(i))
			before := s
			var fx flow.Effects
			s, fx = s.Step(event)
			if before.Phase() == flow.Ended && fx != (flow.Effects{}) {
				t.Fatalf("step %d: an ended flow has effects %+v", i, fx)
			}
			if s.Phase() < before.Phase() {
				t.Fatalf("step %d: from %v back to %v", i, before.Phase(), s.Phase())
			}
			if (s.Phase() == flow.Ended) != (s.Reason() != flow.NotEnded) {
				t.Fatalf("step %d: %v for reason %v", i, s.Phase(), s.Reason())
			}
			for side := range fx.EOT {
				if fx.EOT[side].Send {
					sent[side]++
				}
			}
			if fx.Relay {
				switch head.Type {
				case zio.EOT:
					sent[from.Other()]++
				case zio.DAT:
					dats++
				case zio.PAY:
					payments += fx.Credit
				}
			}
			payments += fx.DeferredPay
			if sent[0] > 1 || sent[1] > 1 {
				t.Fatalf("step %d: %d and %d EOTs sent", i, sent[0], sent[1])
			}
			c := s.Credit()
			spent := payments - c.Released() // on DATs that were relayed, or dropped for want of a taker
			if c.Released() < 0 || c.Withheld() < 0 || c.Released()+c.Withheld() > c.Total() ||
				spent < dats || spent > dats && !mayBeGone(script[:i+1]) {
				t.Fatalf("step %d: ledger %+v, relayed %d DAT for %d credits", i, c, dats, payments)
			}
			if s.Reason() == flow.Completed && sent != [2]int{1, 1} && !mayBeGone(script[:i+1]) {
				t.Fatalf("step %d: completed with %v EOTs sent", i, sent)
			}
		}
	})
}

// fuzzEvent makes an event of a byte: its low bit is the side.
func fuzzEvent(b byte, seqno uint64) (flow.Event, zio.Head, flow.Side) {
	side := flow.Side(b & 1)
	head := zio.Head{Credit: zio.Number{Value: int64(b>>4) - 2, Form: zio.Integer}}
	switch b >> 1 & 7 {
	case 0, 1:
		head.Type = zio.DAT
	case 2:
		head.Type = zio.PAY
	case 3:
		head.Type = zio.EOT
	case 4:
		head.Type = zio.BOT
	case 5:
		credit, _ := flow.Agree(zio.Number{Value: 5, Form: zio.Integer}, head.Credit, 10)
		return flow.Accepted(credit, seqno), head, side
	case 6:
		if b >= 0x80 {
			return flow.WindowUpdate(1+int64(b>>4&3), int64(b>>6&1)), head, side
		}
		return flow.CloseSend(side), head, side
	case 7:
		if b >= 0xf0 {
			return flow.Stopped(flow.EndedByAdmin, ""), head, side
		}
		return flow.Left(side, ""), head, side
	}
	return flow.Received(side, head, seqno, int64(b>>6)), head, side
}

// mayBeGone tells whether a script has one side leave.
func mayBeGone(script []byte) bool {
	for _, b := range script {
		if b>>1&7 == 7 {
			return true
		}
	}
	return false
}
