package main_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// TestBuiltinDump_FLOW_3_FLOW_7_BRK_21 has every kind of client give to the
// default route.
func TestBuiltinDump_FLOW_3_FLOW_7_BRK_21(t *testing.T) {
	g := startGateway(t, withDefaultRoutes)
	parts := []struct {
		*corpus
		offer, credit int64
	}{
		{corpora[0], 1, 1}, {corpora[0], 2, 2}, {corpora[0], 0, 10}, {corpora[0], 100, 100},
		{corpora[0], 1_000_000, 1000}, // lowered to the gateway's limit
		{corpora[1], 2, 2}, {corpora[2], 2, 2},
	}
	for _, via := range transports {
		t.Run(string(via), func(t *testing.T) {
			client := g.dial(t, via)
			for _, p := range parts {
				if raceDetector && p.largest() > maxUnderRace {
					continue
				}
				s := openBuiltin(t, client, via, botMessage(zio.Extract, p.offer, 0), p.credit)
				s.ends = true // dump takes what there is
				if err := s.give(p.corpus); err != nil {
					t.Fatalf("%s, credit %d: %v", p.name, p.credit, err)
				}
				f := g.wantEnd(t, flow.Completed)
				if f.Data.Messages != uint64(p.count) || f.Data.Bytes != uint64(p.bytes()) || f.Handler.Identity != "dump" {
					t.Errorf("%s took %d messages with %d bytes, want dump to take %d with %d",
						f.Handler, f.Data.Messages, f.Data.Bytes, p.count, p.bytes())
				}
			}
		})
	}
}

// TestBuiltinGenerate_FLOW_13_BRK_10 has every kind of client take from the
// default route, and check the pattern.
func TestBuiltinGenerate_FLOW_13_BRK_10(t *testing.T) {
	g := startGateway(t, withDefaultRoutes)
	parts := []struct {
		count, size int
		credit      int64
		takerEnds   bool // after a part of what there is
	}{
		{200, 0, 1, false}, {200, 1, 2, true}, {200, 254, 10, false}, {200, 255, 100, true}, {200, 70_000, 10, false},
		{20, 5_000_000, 2, true}, {3, 60_000_000, 2, false},
	}
	for _, via := range transports {
		t.Run(string(via), func(t *testing.T) {
			client := g.dial(t, via)
			for _, p := range parts {
				if raceDetector && p.size > maxUnderRace {
					continue
				}
				count := p.count
				if p.takerEnds {
					count = 1 << 52
				}
				bot := flowMessage(fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":%d,"count":%d,"size":%d}`,
					p.credit, count, p.size))
				s := openBuiltin(t, client, via, bot, p.credit)
				s.ends = p.takerEnds
				check := func(n int, m *zio.Message) error { return checkPattern(n, p.size, m) }
				if err := s.takeAll(p.count, check); err != nil {
					t.Fatalf("%d of %d bytes, credit %d: %v", p.count, p.size, p.credit, err)
				}
				f := g.wantEnd(t, flow.Completed)
				if got := int(f.Data.Messages); got < p.count || !p.takerEnds && got > p.count {
					t.Errorf("%s gave %d messages, want %d", f.Handler, got, p.count)
				}
			}
		})
	}
}

func withDefaultRoutes(s *settings) { s.defaultRoutes = true }

// openBuiltin opens a flow and checks the built-in handler's BOT.
func openBuiltin(t *testing.T, client peer, via transportName, bot *zio.Message, credit int64) *side {
	t.Helper()
	s := &side{peer: client, via: via, from: viaNothing, credit: credit, withheld: true}
	if err := s.put(bot); err != nil {
		t.Fatal(err)
	}
	m := mustRecv(t, client, zio.BOT)
	s.got++
	sent, _ := zio.ParseBot(bot.Label)
	got, err := zio.ParseBot(m.Label)
	if err != nil || got.Direction != sent.Direction.Reverse() || got.Credit.Value != credit || got.CID.Form != zio.Absent {
		t.Errorf("the answer to %s is %s, want the opposite direction, credit %d and no cid", bot.Label, m.Label, credit)
	}
	return s
}

// checkPattern checks the n-th payload of generate: byte i is (n+i) mod 251.
func checkPattern(n, size int, m *zio.Message) error {
	if string(m.Label) != `{"flow":"DAT"}` || m.Seqno != uint64(n+1) {
		return fmt.Errorf("received %s with seqno %d, want a plain DAT with %d", m.Label, m.Seqno, n+1)
	}
	if len(m.Payload) != 1 || len(m.Payload[0]) != size {
		return fmt.Errorf("payload has %v bytes, want one part of %d", partSizes(m.Payload), size)
	}
	if !bytes.Equal(m.Payload[0], pattern()[n%251:][:size]) {
		return fmt.Errorf("payload %d begins with %v, want %d and up, modulo 251", n, m.Payload[0][:min(size, 4)], n%251)
	}
	return nil
}

// pattern is payload 0 of generate; payload n begins at byte n.
var pattern = sync.OnceValue(func() []byte {
	b := make([]byte, 60_000_000+251)
	for i := range 251 {
		b[i] = byte(i)
	}
	for n := 251; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
	return b
})
