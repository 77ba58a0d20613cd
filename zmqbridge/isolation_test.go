package zmqbridge_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// broken is a link in which data meets an error of the gateway's own.
type broken struct{ *transport.Outbox }

func (b broken) Deliver(d transport.Delivery) error {
	if d.Type == zio.DAT {
		panic("an error that a test has put there")
	}
	return b.Outbox.Deliver(d)
}

// neighbours are a flow that moves on while a test does harm to others.
type neighbours struct{ taker, giver *raw }

func (g *rig) neighbours(kind zmtp.SocketType) *neighbours {
	g.t.Helper()
	n := &neighbours{g.dial(kind), g.dial(kind)}
	g.opens(n.taker, n.giver, 1)
	return n
}

// move has one message go through.
func (n *neighbours) move() {
	n.giver.t.Helper()
	n.giver.say(`{"flow":"DAT"}`, []byte("on and on"))
	n.taker.want(zio.DAT)
	n.taker.say(`{"flow":"PAY","credit":1}`)
	n.giver.want(zio.PAY)
}

// wantPanic checks that one connection has ended by an error of the gateway's own, and
// the operator can see it.
func (g *rig) wantPanic(kind zmtp.SocketType) {
	g.t.Helper()
	until(g.t, "a connection has ended by a panic", func() bool { return g.stats(kind).Ended["panic"] == 1 })
	if n := g.bridge.Panics(); n != 1 {
		g.t.Errorf("%d panics were counted, want 1", n)
	}
	if n := len(g.logged("level=ERROR", "panic on a connection")); n != 1 {
		g.t.Errorf("%d lines tell of it, want 1", n)
	}
}

// An error of the gateway's own on the way of what a peer sends ends that peer's
// connection, and no other.
func TestPanicWhileReading(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		others := g.neighbours(kind)
		taker, giver := g.insideOf(func(o *transport.Outbox) transport.Link { return broken{o} }), g.dial(kind)
		taker.say(bot(zio.Inject, 5, 0))
		giver.say(bot(zio.Extract, 5, g.offered().CID))
		giver.want(zio.BOT)
		taker.want(zio.BOT)
		taker.say(`{"flow":"PAY","credit":5}`)
		giver.want(zio.PAY)
		giver.say(`{"flow":"DAT"}`)
		if last := giver.wantClosed(); !ends(last, "peer_gone") {
			t.Error("the giver was not told")
		}
		taker.want(zio.EOT)
		g.wantPanic(kind)
		others.move()
	})
}

// unwritable is a message that no form can be made of: its ends lie behind its parts.
func unwritable() *zio.Message {
	return &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: make([][]byte, 1), Ends: []int{3}}
}

// Likewise of what is written to a peer, whoever writes it: it ends the connection of
// who would have received it.
func TestPanicWhileWriting(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"by the giver": 0, "by the connection's own goroutine": 16 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []zmtp.SocketType{zmtp.Client, zmtp.Dealer} {
				t.Run(string(kind), func(t *testing.T) {
					t.Parallel()
					g := newRig(t, func(*setup) {})
					others := g.neighbours(kind)
					taker, giver := g.dial(kind), g.inside()
					giver.opens(taker, 5)
					if before > 0 {
						giver.give(make([]byte, before))
						until(t, "the socket is full", func() bool { return g.stats(kind).OutboxMessages == 1 })
					}
					giver.peer.Receive(unwritable())
					taker.wantClosed()
					g.wantPanic(kind)
					giver.want(zio.EOT)
					until(t, "nothing is held", func() bool { return g.broker.Held() == 0 })
					others.move()
				})
			}
		})
	}
}

// A peer that does not read is cut after as long as it may stall. Nobody else notices:
// neither before, nor then.
func TestPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	const stall = 2 * time.Second
	eachWay(t, func(s *setup) { s.bridge.Stall, s.MaxMessage = stall, 64<<20 }, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		others := g.neighbours(kind)
		taker, giver := g.dial(kind), g.inside()
		giver.opens(taker, 5)
		w := g.broker.Watch(10)
		defer w.Close()
		giver.give(make([]byte, 16<<20))
		began := time.Now()
		moved := 0
		for ended := false; !ended; moved++ {
			others.move()
			select {
			case e := <-w.Events():
				ended = e.Flow.Phase == flow.Ended
				if ended && e.Flow.Reason != flow.Overrun {
					t.Errorf("the flow ended with %v, want overrun", e.Flow.Reason)
				}
			default:
			}
		}
		if took := time.Since(began); took < stall-100*time.Millisecond || took > stall+15*time.Second {
			t.Errorf("it was cut after %v, want %v", took, stall)
		}
		if moved < 20 {
			t.Errorf("the neighbours moved %d messages meanwhile", moved)
		}
		others.move()
		until(t, "ended as stalled", func() bool { return g.stats(kind).Ended["stalled"] == 1 })
		if n := len(g.logged("connection ended", "cause=stalled")); n != 1 {
			t.Errorf("%d lines tell of it, want 1", n)
		}
		until(t, "nothing is held", func() bool { return g.broker.Held() == 0 })
	})
}

// A peer that takes a byte now and then is slow, and not cut.
func TestSlowReaderIsNotCut(t *testing.T) {
	t.Parallel()
	const stall = 3 * time.Second
	g := newRig(t, func(s *setup) { s.bridge.Stall = stall })
	taker, giver := g.dial(zmtp.Client), g.inside()
	giver.opens(taker, 5)
	giver.give(make([]byte, 32<<20))
	// What a socket holds back until half of it is free is less than this.
	piece, read := make([]byte, 4<<20), 0
	pause := time.NewTicker(stall / 3) // all of it takes twice the time, and a busy machine some for each piece
	defer pause.Stop()
	for read < 24<<20 {
		<-pause.C
		for got := 0; got < len(piece); {
			n, err := taker.Read(piece[got:])
			if err != nil {
				t.Fatalf("after %d bytes: %v", read+got, err)
			}
			got += n
		}
		read += len(piece)
	}
	if n := g.stats(zmtp.Client).Ended["stalled"]; n != 0 {
		t.Error("it was cut")
	}
}

// When the budget is used up a giver is not read from, so that its own buffers fill,
// and goes on when the taker reads.
func TestBudgetHoldsBack(t *testing.T) {
	t.Parallel()
	const limit = 8 * little
	eachWay(t, func(s *setup) { s.MaxBytes, s.MaxFlowBytes = limit, limit }, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		taker, giver := g.dial(kind), g.dial(kind)
		g.opens(taker, giver, 100)
		var wire []byte
		messages := make([]*zio.Message, 60)
		for i := range messages {
			messages[i] = &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: [][]byte{make([]byte, little-1<<10)}}
			messages[i].Payload[0][0] = byte(i)
			wire = giver.wire(wire, messages[i])
		}
		left := wire
		for stuck := false; !stuck; {
			_ = giver.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			n, err := giver.Write(left)
			left = left[n:]
			var network net.Error
			if !errors.As(err, &network) || !network.Timeout() {
				t.Fatalf("all was taken, %v", err)
			}
			stuck = n == 0
		}
		if most := int64(limit + 2*little); g.broker.Held() > most || g.broker.Held() < limit/2 {
			t.Errorf("%d bytes are held, want at most %d", g.broker.Held(), most)
		}
		sent := make(chan error, 1)
		go func() {
			_ = giver.SetWriteDeadline(time.Now().Add(patient))
			_, err := giver.Write(left)
			sent <- err
		}()
		for i, want := range messages {
			if difference := same(taker.want(zio.DAT), want); difference != "" {
				t.Fatalf("message %d: %s", i, difference)
			}
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		until(t, "nothing is held", func() bool { return g.broker.Held() == 0 })
	})
}
