package flow_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// TestScripts plays the exchanges in testdata, each named after the rules that
// it shows. A script's lines are events; what the flow makes of each is
// recorded below them. Rewrite the records with -rewrite.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.HasPrefix(path, filepath.Join("testdata", "fuzz")) {
			return // FuzzStep's corpus
		}
		var p player
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "open" {
				p = player{}
			}
			var out strings.Builder
			lines := []string{d.Cmd + " " + argsOf(d)}
			if d.Cmd == "play" {
				lines = strings.Split(d.Input, "\n")
			}
			for _, line := range lines {
				if err := p.play(&out, strings.Fields(line)); err != nil {
					d.Fatalf(t, "%s: %v", line, err)
				}
			}
			return out.String()
		})
	})
}

func argsOf(d *datadriven.TestData) string {
	args := make([]string, len(d.CmdArgs))
	for i, arg := range d.CmdArgs {
		args[i] = arg.Key
	}
	return strings.Join(args, " ")
}

type player struct {
	state flow.State
	seqno [2]uint64
}

// play takes `open extract|inject`, `accept OFFER ANSWER [LIMIT]`, `SIDE
// BOT|PAY|DAT|EOT [CREDIT [QUEUED]]`, `SIDE shut`, `SIDE leaves`, `room WINDOW QUEUED` or `stop
// REASON`.
func (p *player) play(out *strings.Builder, words []string) error {
	event, err := p.event(words)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-18s", strings.Join(words, " "))
	if words[0] != "open" {
		var fx flow.Effects
		p.state, fx = p.state.Step(event)
		describe(out, event, words, fx)
	}
	fmt.Fprintf(out, " | %v", p.state.Phase())
	if c := p.state.Credit(); c.Total() > 0 {
		fmt.Fprintf(out, " %d/%d", c.Released(), c.Total())
		if c.Withheld() > 0 {
			fmt.Fprintf(out, " withheld %d", c.Withheld())
		}
	}
	if p.state.Phase() == flow.Ended {
		fmt.Fprintf(out, " %v", p.state.Reason())
		if d := p.state.Detail(); d != "" {
			fmt.Fprintf(out, " (%s)", d)
		}
	}
	out.WriteString("\n")
	return nil
}

func (p *player) event(words []string) (flow.Event, error) {
	switch words[0] {
	case "open":
		p.seqno = [2]uint64{1, 0}
		direction := zio.Extract
		if words[1] == "inject" {
			direction = zio.Inject
		}
		p.state = flow.Open(direction, 0)
		return flow.Event{}, nil
	case "accept":
		limit := int64(1000)
		if len(words) > 3 {
			limit = number(words[3]).Value
		}
		credit, ok := flow.Agree(number(words[1]), number(words[2]), limit)
		if !ok {
			return flow.Event{}, fmt.Errorf("no credit agreed")
		}
		p.seqno[flow.Handler]++
		return flow.Accepted(credit, 0), nil
	case "room":
		return flow.Room(number(words[1]).Value, number(words[2]).Value), nil
	case "stop":
		for _, r := range flow.Reasons() {
			if r.String() == words[1] {
				return flow.Stopped(r, strings.Join(words[2:], " ")), nil
			}
		}
		return flow.Event{}, fmt.Errorf("unknown reason")
	}
	side := flow.Client
	if words[0] == "handler" {
		side = flow.Handler
	}
	switch words[1] {
	case "shut":
		return flow.Shut(side), nil
	case "leaves":
		return flow.Left(side, "connection closed"), nil
	}
	head := zio.Head{Type: map[string]zio.Type{"BOT": zio.BOT, "PAY": zio.PAY, "DAT": zio.DAT, "EOT": zio.EOT}[words[1]]}
	if head.Type == zio.NoType {
		return flow.Event{}, fmt.Errorf("unknown message")
	}
	if len(words) > 2 {
		head.Credit = number(words[2])
	}
	seqno := p.seqno[side]
	p.seqno[side]++
	queued := int64(0)
	if len(words) > 3 {
		queued = number(words[3]).Value
	}
	return flow.Received(side, head, seqno, queued), nil
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

func describe(out *strings.Builder, _ flow.Event, words []string, fx flow.Effects) {
	var parts []string
	if fx.Bots {
		parts = append(parts, "handler<-BOT client<-BOT")
	}
	if fx.Relay {
		to := "handler"
		if words[0] == "handler" {
			to = "client"
		}
		part := to + "<-" + words[1]
		if fx.Credit > 0 {
			part += fmt.Sprintf(" %d", fx.Credit)
		}
		parts = append(parts, part)
	}
	if fx.Rest > 0 {
		parts = append(parts, fmt.Sprintf("giver<-PAY %d#%d", fx.Rest, fx.RestSeqno))
	}
	for side, eot := range fx.EOT {
		if !eot.Send {
			continue
		}
		what := "EOT!"
		if eot.Plain {
			what = "EOT"
		}
		parts = append(parts, fmt.Sprintf("%v<-%s#%d", flow.Side(side), what, eot.Seqno))
	}
	if len(parts) == 0 {
		parts = []string{"-"}
	}
	fmt.Fprintf(out, "  %s", strings.Join(parts, " "))
}

func TestAgree_FLOW_2_FLOW_3_BRK_21(t *testing.T) {
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
			payments += fx.Rest
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
			return flow.Room(1+int64(b>>4&3), int64(b>>6&1)), head, side
		}
		return flow.Shut(side), head, side
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
