package zmqbridge_test

import (
	"testing"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// Small messages in front of a large one that has no room leave while that waits: what
// they have is all the room there will be.
func TestRoomOfWhatWasDelivered(t *testing.T) {
	t.Parallel()
	const most = 60_000
	eachWay(t, func(s *setup) { s.MaxMessage, s.MaxBytes, s.MaxFlowBytes = most, most, most }, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		taker, giver := g.dial(kind), g.dial(kind)
		g.opens(taker, giver, 100)
		var messages []*zio.Message
		var wire []byte
		for _, sizes := range [][]int{{100}, {200}, {300}, {50_000}, {100}, {50_000, 100}, {50_000, 100}, {0}, {most}} {
			m := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`)}
			for _, size := range sizes {
				m.Payload = append(m.Payload, pattern(newRand(size), size))
			}
			messages, wire = append(messages, m), giver.wire(wire, m)
		}
		sent := make(chan struct{})
		go func() { defer close(sent); giver.write(wire) }()
		for i, want := range messages {
			if difference := same(taker.want(zio.DAT), want); difference != "" {
				t.Fatalf("message %d: %s", i, difference)
			}
		}
		<-sent
		until(t, "nothing is held", func() bool { return g.broker.Held() == 0 })
	})
}

// What a reader waits with holds memory, too: that this is all there is left does not
// keep it waiting.
func TestRoomOfOnesOwn(t *testing.T) {
	t.Parallel()
	const most = 60_000
	eachWay(t, func(s *setup) { s.MaxMessage, s.MaxBytes, s.MaxFlowBytes = most, most, most }, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		taker, giver := g.inside(), g.dial(kind)
		taker.say(bot(zio.Inject, 100, 0))
		giver.say(bot(zio.Extract, 100, g.offered().CID))
		giver.want(zio.BOT)
		taker.want(zio.BOT)
		taker.say(`{"flow":"PAY","credit":100}`)
		giver.want(zio.PAY)
		before := g.stats(kind).BytesIn
		var wire []byte
		for _, size := range []int{100, 200, 300, 50_000} {
			wire = giver.wire(wire, &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: [][]byte{make([]byte, size)}})
		}
		giver.write(wire)
		until(t, "all was read, or waits", func() bool {
			return g.stats(kind).BytesIn-before == uint64(len(wire)) || g.broker.WaitingReaders() > 0
		})
		for range 4 {
			taker.want(zio.DAT)
		}
		until(t, "nothing is held", func() bool { return g.broker.Held() == 0 })
	})
}
