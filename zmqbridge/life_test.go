package zmqbridge_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// beats has a rig ask silent peers that often, and give them that long.
func beats(interval, patience time.Duration) func(*setup) {
	return func(s *setup) { s.bridge.Heartbeat, s.bridge.HeartbeatTimeout = interval, patience }
}

// quiet reads for a while, during which nothing but commands may come and the
// connection must stay.
func quiet(p *raw, d time.Duration) {
	p.t.Helper()
	m, err := p.receiveWithin(d)
	var network net.Error
	switch {
	case err == nil:
		p.t.Fatalf("%s came", m.Label)
	case !errors.As(err, &network) || !network.Timeout():
		p.t.Fatalf("the connection ended: %v", err)
	}
}

// A PING is answered with its context, whatever it is.
func TestPingIsAnswered(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		p := g.dial(kind)
		for _, context := range []string{"", "x", "sixteen bytes it"} {
			p.pongs = nil
			p.write(p.ping(nil, 0, context))
			for len(p.pongs) == 0 {
				if h, body, err := p.next(); err != nil || !h.Command || p.command(body) != nil {
					t.Fatalf("%v came, %v, want a PONG", h, err)
				}
			}
			if string(p.pongs[0]) != context {
				t.Errorf("PONG %q came, want %q", p.pongs[0], context)
			}
		}
		if p.session == nil { // 17 bytes are too many
			p.write(append([]byte{4, 24, 4}, "PING\x00\x00seventeen bytes it"...))
			p.wantClosed()
			until(t, "ended for a fault", func() bool { return g.stats(kind).Ended["protocol"] == 1 })
		}
	})
}

// Of a flood of PINGs by a peer that does not read, no more than one PONG waits.
func TestPingFlood(t *testing.T) {
	t.Parallel()
	const pings = 50_000
	eachWay(t, func(s *setup) {
		dir, err := os.MkdirTemp("", "zmqbridge") // a test's own folder may have too long a name
		if err != nil {
			panic(err)
		}
		s.bridge.Servers, s.bridge.Routers = []string{"ipc://" + dir + "/s"}, []string{"ipc://" + dir + "/r"}
	}, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(g.address(kind)[len("ipc://"):])) })
		p := g.dial(kind) // by ipc, whose buffers are small
		var b []byte
		for i := range pings {
			b = p.ping(b, 0, fmt.Sprint(i))
		}
		p.write(b)
		until(t, "all was read", func() bool { return g.stats(kind).BytesIn >= uint64(len(b)) })
		if s := g.stats(kind); s.OutboxMessages != 0 || s.OutboxBytes != 0 {
			t.Errorf("%d messages of %d bytes wait", s.OutboxMessages, s.OutboxBytes)
		}
		last := []byte(fmt.Sprint(pings - 1))
		for len(p.pongs) == 0 || !bytes.Equal(p.pongs[len(p.pongs)-1], last) {
			if h, body, err := p.next(); err != nil || !h.Command || p.command(body) != nil {
				t.Fatalf("%v came after %d PONGs, %v", h, len(p.pongs), err)
			}
		}
		if len(p.pongs) > pings/4 {
			t.Errorf("%d PONGs came for %d PINGs: they were stored", len(p.pongs), pings)
		}
	})
}

// A peer may say after how long a silence it counts as gone.
func TestTTL(t *testing.T) {
	t.Parallel()
	const ttl = 300 * time.Millisecond
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		p := g.dial(kind)
		p.write(p.ping(nil, ttl, ""))
		ticker := time.NewTicker(ttl / 4)
		defer ticker.Stop()
		for range 8 { // it lives while it says something, be it little
			<-ticker.C
			p.write(p.ping(nil, ttl, ""))
		}
		began := time.Now()
		p.wantClosed()
		if took := time.Since(began); took < ttl/2 || took > ttl+2*time.Second {
			t.Errorf("it was taken for gone after %v, want %v", took, ttl)
		}
		until(t, "ended as silent", func() bool { return g.stats(kind).Ended["silent"] == 1 })
	})
}

// PING came with ZMTP 3.1: older peers are not asked, and so not cut.
func TestOlderPeersAreNotAsked(t *testing.T) {
	t.Parallel()
	const interval = 50 * time.Millisecond
	g := newRig(t, beats(interval, interval))
	p := g.dialWith(dialing{Config: zmtp.Config{Type: zmtp.Dealer}, minor: 0})
	quiet(p, 10*interval)
	if p.pings > 0 {
		t.Errorf("%d PINGs came", p.pings)
	}
}

func TestNoHeartbeat(t *testing.T) {
	t.Parallel()
	g := newRig(t, beats(0, 50*time.Millisecond))
	p := g.dial(zmtp.Dealer)
	quiet(p, 500*time.Millisecond)
	if p.pings > 0 {
		t.Errorf("%d PINGs came", p.pings)
	}
}

// Every byte is a sign of life: a message may take as long as it wants.
func TestSlowMessageIsLife(t *testing.T) {
	t.Parallel()
	const interval, patience = 300 * time.Millisecond, 2 * time.Second // a busy machine is late
	eachWay(t, beats(interval, patience), func(t *testing.T, g *rig, kind zmtp.SocketType) {
		taker, giver := g.dialWith(dialing{Config: zmtp.Config{Type: kind}}), g.dial(kind)
		giver.mute = true
		g.opens(taker, giver, 5)
		m := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: [][]byte{make([]byte, 100_000)}}
		wire := giver.wire(nil, m)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for range 15 { // longer than all patience
			<-ticker.C
			giver.write(wire[:1])
			wire = wire[1:]
		}
		giver.write(wire)
		if difference := same(taker.want(zio.DAT), m); difference != "" {
			t.Error(difference)
		}
	})
}

// A frozen peer for which nothing waits is known when its patience is over, and not
// before. TestFrozenPeerIsKnownInTime has it to the moment.
func TestFrozenPeer(t *testing.T) {
	t.Parallel()
	const interval, patience = 400 * time.Millisecond, 800 * time.Millisecond
	eachWay(t, beats(interval, patience), func(t *testing.T, g *rig, kind zmtp.SocketType) {
		taker, giver := g.dialWith(dialing{Config: zmtp.Config{Type: kind}}), g.dial(kind)
		g.opens(taker, giver, 5)
		began := time.Now() // the giver does nothing from now on
		taker.want(zio.EOT, `"error":"peer_gone"`, "no sign of life for 800ms")
		if took := time.Since(began); took < patience || took > interval+patience+10*time.Second {
			t.Errorf("it was taken for gone after %v, want %v", took, interval+patience)
		}
		until(t, "ended as silent", func() bool { return g.stats(kind).Ended["silent"] == 1 })
	})
}

// A taker that has data in front of it may be busy: it is not cut for not answering,
// but for taking nothing, and only after that long.
func TestBusyTaker(t *testing.T) {
	t.Parallel()
	const interval, patience, stall = 100 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second
	for name, c := range map[string]struct {
		size  int
		cause string
		want  flow.Reason
	}{
		"data in the outbox":       {16 << 20, "stalled", flow.Overrun},
		"all data in the socket's": {100, "silent", flow.PeerGone},
	} {
		for _, kind := range []zmtp.SocketType{zmtp.Client, zmtp.Dealer} {
			t.Run(fmt.Sprint(name, " ", kind), func(t *testing.T) {
				t.Parallel()
				g := newRig(t, func(s *setup) {
					beats(interval, patience)(s)
					s.bridge.Stall = stall
				})
				w := g.broker.Watch(10)
				defer w.Close()
				taker, giver := g.dial(kind), g.inside()
				giver.opens(taker, 5)
				giver.give(make([]byte, c.size))
				began := time.Now() // the taker does nothing from now on
				ended := waitForEnd(t, w)
				if took := time.Since(began); took < stall-100*time.Millisecond || took > stall+15*time.Second {
					t.Errorf("it was cut after %v, want %v", took, stall)
				}
				if ended.Reason != c.want {
					t.Errorf("the flow ended with %v, want %v", ended.Reason, c.want)
				}
				until(t, "ended as "+c.cause, func() bool { return g.stats(kind).Ended[c.cause] == 1 })
			})
		}
	}
}

// One that reads after a while has missed nothing, and is asked again when nothing is
// in front of it any more.
func TestBusyTakerComesBack(t *testing.T) {
	t.Parallel()
	const interval, patience = 100 * time.Millisecond, 300 * time.Millisecond
	g := newRig(t, beats(interval, patience))
	taker, giver := g.dial(zmtp.Dealer), g.inside()
	giver.opens(taker, 5)
	giver.give(make([]byte, 16<<20))
	busy := time.NewTimer(3 * (interval + patience))
	<-busy.C
	taker.want(zio.DAT)
	quiet(taker, 2*(interval+patience))
	if taker.pings == 0 {
		t.Error("no PING came")
	}
	until(t, "nothing waits", func() bool { return g.stats(zmtp.Dealer).OutboxMessages == 0 })
	taker.mute = true
	taker.wantClosed()
	until(t, "ended as silent", func() bool { return g.stats(zmtp.Dealer).Ended["silent"] == 1 })
}

// A taker behind a proxy on a slow line is not cut while the proxy still has data for it.
func TestTakerBehindProxy(t *testing.T) {
	t.Parallel()
	const (
		interval, patience = 100 * time.Millisecond, 400 * time.Millisecond
		rate, ahead        = 8 << 20, 8 << 20 // of the line, bytes a second; bytes the proxy holds
	)
	for _, kind := range []zmtp.SocketType{zmtp.Client, zmtp.Dealer} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			g := newRig(t, func(s *setup) {
				beats(interval, patience)(s)
				s.bridge.Stall = patience
			})
			taker := g.dialWith(dialing{Config: zmtp.Config{Type: kind}, minor: 1, address: slowProxy(t, g.address(kind), rate, ahead)})
			giver := g.inside()
			giver.opens(taker, 5)
			m := make([]byte, 24<<20)
			giver.give(m)
			if got := taker.want(zio.DAT); got.Size() != len(m) {
				t.Errorf("%d bytes came, want %d", got.Size(), len(m))
			}
			quiet(taker, 3*(interval+patience))
		})
	}
}

// slowProxy returns the address of a proxy for one connection, which takes ahead bytes at
// once and carries rate bytes a second.
func slowProxy(t *testing.T, to string, rate, ahead int) (address string) {
	t.Helper()
	const step = 64 << 10
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		far, err := connect(to, "")
		if err != nil {
			_ = near.Close()
			return
		}
		t.Cleanup(func() { _ = far.Close() })
		held := &store{limit: ahead}
		held.changed.L = &held.mu
		go func() {
			_, _ = io.Copy(held, far)
			held.finish()
		}()
		go func() {
			line := time.NewTicker(time.Second * step / time.Duration(rate))
			defer line.Stop()
			defer func() { _ = near.Close() }()
			for b := held.take(step); b != nil; b = held.take(step) {
				if _, err := near.Write(b); err != nil {
					return
				}
				<-line.C
			}
		}()
		_, _ = io.Copy(far, near)
	}()
	return "tcp://" + listener.Addr().String()
}

// store is what a proxy holds, up to a limit.
type store struct {
	limit   int
	mu      sync.Mutex
	changed sync.Cond
	bytes   []byte // guarded by mu
	over    bool   // guarded by mu; nothing more comes
}

// Write waits until there is room.
func (s *store) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.bytes) >= s.limit {
		s.changed.Wait()
	}
	s.bytes = append(s.bytes, b...)
	s.changed.Signal()
	return len(b), nil
}

func (s *store) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.changed.Signal()
}

// take waits for up to n bytes; nil at the end.
func (s *store) take(n int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.bytes) == 0 && !s.over {
		s.changed.Wait()
	}
	b := s.bytes[:min(n, len(s.bytes))]
	s.bytes = s.bytes[len(b):]
	s.changed.Signal()
	if len(b) == 0 {
		return nil
	}
	return b
}

// A peer's death is known at once, however it comes.
func TestKilledPeer(t *testing.T) {
	t.Parallel()
	const tries, want = 10, 50 * time.Millisecond
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		w := g.broker.Watch(10)
		defer w.Close()
		taker, least := g.dial(kind), time.Hour
		for i := range tries {
			giver := g.dial(kind)
			g.opens(taker, giver, 5)
			began := time.Now()
			if i%2 == 0 {
				reset(giver)
			} else {
				_ = giver.Close()
			}
			if ended := waitForEnd(t, w); ended.Reason != flow.PeerGone {
				t.Errorf("the flow ended with %v, want peer_gone", ended.Reason)
			}
			least = min(least, time.Since(began)) // this machine has others to serve
			taker.want(zio.EOT, `"error":"peer_gone"`)
		}
		if least > want {
			t.Errorf("a killed peer was known after %v at best, want %v", least, want)
		}
	})
}

// A giver that is not read from, because the budget is used up, cannot be heard: it is
// not taken for gone.
func TestHeldBackGiverLives(t *testing.T) {
	t.Parallel()
	const interval, patience = 200 * time.Millisecond, 600 * time.Millisecond
	eachWay(t, func(s *setup) {
		beats(interval, patience)(s)
		s.MaxBytes, s.MaxFlowBytes = 8*little, 8*little
	}, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		var messages []*zio.Message
		for i := range 40 {
			payload := make([]byte, little-1<<10)
			payload[0] = byte(i)
			messages = append(messages, &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: [][]byte{payload}})
		}
		taker, giver := g.dialWith(dialing{Config: zmtp.Config{Type: kind}}), g.dial(kind)
		g.opens(taker, giver, 100)
		giving := make(chan struct{})
		go func() { // without reading, as PINGs would be answered behind the data
			defer close(giving)
			for _, m := range messages {
				giver.send(m)
			}
		}()
		until(t, "the budget is used up", func() bool { return g.broker.WaitingReaders() > 0 })
		busy := time.NewTimer(3 * (interval + patience))
		<-busy.C
		for i, want := range messages {
			if difference := same(taker.want(zio.DAT), want); difference != "" {
				t.Fatalf("message %d: %s", i, difference)
			}
		}
		<-giving
	})
}
