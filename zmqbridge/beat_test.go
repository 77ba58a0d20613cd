//go:build linux

package zmqbridge

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/zmtp"
)

// lookedAfter has time pass for a connection whose peer was last heard of at from, and
// returns after how long it is ended. Between the looks that it asks for come others,
// for other connections.
func lookedAfter(t *testing.T, e *endpoint, first time.Duration, rng *rand.Rand, prepare func(*conn)) time.Duration {
	t.Helper()
	c, far := bareConn(t, e)
	defer func() { _ = c.socket.Close(); _ = far.Close() }() // there are many
	began := time.Now()
	c.lastSeen.Store(began.UnixNano())
	prepare(c)
	for passed := first; passed < time.Hour; {
		again := min(e.options.tick(), c.look(began.Add(passed), false))
		if c.ending() {
			return passed
		}
		if rng != nil {
			again = time.Duration(rng.Int64N(int64(again) + 1))
		}
		passed += max(again, e.options.leastTick())
	}
	t.Fatal("it was not ended")
	return 0
}

// A peer that says nothing is known within the interval and the patience, and neither
// before its patience is over nor later, whenever the connections are looked at.
func TestFrozenPeerIsKnownInTime(t *testing.T) {
	t.Parallel()
	for _, o := range []struct{ interval, patience time.Duration }{
		{2 * time.Second, 6 * time.Second}, {time.Second, time.Second}, {10 * time.Second, time.Second}, {time.Second, time.Minute},
	} {
		t.Run(fmt.Sprint(o.interval, " ", o.patience), func(t *testing.T) {
			t.Parallel()
			e := bareEndpoint(t, func(all *Options) { all.Heartbeat, all.HeartbeatTimeout = o.interval, o.patience })
			for i := range 200 {
				rng := rand.New(rand.NewPCG(uint64(i), 0))
				if i%2 == 0 {
					rng = nil
				}
				first := e.options.tick() * time.Duration(i) / 200
				took := lookedAfter(t, e, first, rng, func(*conn) {})
				if least := o.patience + o.interval/2; took < least || took > o.interval+o.patience {
					t.Errorf("looked at from %v on it is ended after %v, want from %v to %v", first, took, least, o.interval+o.patience)
				}
			}
		})
	}
}

// What the peer does not take is seen in time, too, and what it allows itself at the
// next look: it may send its PINGs just as often.
func TestTTLAndStallAreSeenInTime(t *testing.T) {
	t.Parallel()
	const ttl, stall = 2300 * time.Millisecond, 7100 * time.Millisecond
	e := bareEndpoint(t, func(o *Options) { o.Heartbeat, o.Stall = 0, stall })
	for i := range 100 {
		first := e.options.tick() * time.Duration(i) / 100
		took := lookedAfter(t, e, first, nil, func(c *conn) { c.ttl.Store(int64(ttl)) })
		if took < ttl || took > ttl+e.options.tick() {
			t.Errorf("looked at from %v on it is silent after %v, want %v", first, took, ttl)
		}
		took = lookedAfter(t, e, first, nil, func(c *conn) { c.out.waitingSince.Store(c.lastSeen.Load()) })
		if took < stall || took > stall+e.options.leastTick() {
			t.Errorf("looked at from %v on it is stalled after %v, want %v", first, took, stall)
		}
	}
}

// A peer that is not being read from has its whole time when it is again, and is not
// asked before.
func TestTimeBeginsWithReading(t *testing.T) {
	t.Parallel()
	const interval, patience = 2 * time.Second, 6 * time.Second
	e := bareEndpoint(t, func(o *Options) { o.Heartbeat, o.HeartbeatTimeout = interval, patience })
	c, _ := bareConn(t, e)
	now := time.Now()
	c.lastSeen.Store(now.Add(-time.Hour).UnixNano())
	c.pinged.Store(now.Add(-time.Hour).UnixNano())
	c.ttl.Store(int64(time.Second))
	c.pauseReading()
	c.look(now, false)
	c.resumeReading()
	c.look(time.Now(), false)
	if c.ending() || c.pinged.Load() != 0 {
		t.Errorf("ended as %q, asked at %d", c.end.cause, c.pinged.Load())
	}
	c.look(time.Now().Add(interval), false) // the TTL, but no less than the interval
	if c.end.cause != causeSilent {
		t.Errorf("it is ended as %q", c.end.cause)
	}
}

// Who delivers does not write for ever, whatever the peer asks for meanwhile: the
// outbox's own goroutine goes on.
func TestWriterHandsOver(t *testing.T) {
	t.Parallel()
	e := bareEndpoint(t, func(*Options) {})
	c, _ := bareConn(t, e)
	pong := zmtp.AppendPong(nil, nil)
	writes, own := 0, make(chan struct{})   // by who has the turn; closed to let the own goroutine go on
	c.socket.writing = func(uintptr) bool { // a socket that takes all, and a PING for each write
		if writes == maxRounds {
			select {
			case <-own:
			case <-time.After(5 * time.Second): // it is who delivers that is here
			}
		}
		if writes++; writes < 10*maxRounds {
			c.out.mu.Lock()
			c.out.pong = pong
			c.out.mu.Unlock()
		}
		c.socket.put = c.out.write.batch.asked
		return true
	}
	c.out.answerPing(pong)
	c.out.Flush()
	if c.out.empty() {
		t.Error("all was written by who delivered")
	}
	close(own)
	e.running.Wait()
	if writes != 10*maxRounds || !c.out.empty() {
		t.Errorf("%d writes, want %d; all was written: %t", writes, 10*maxRounds, c.out.empty())
	}
}

// A name whose connection is being ended is free.
func TestNameOfAnEndingConnection(t *testing.T) {
	t.Parallel()
	e := bareEndpoint(t, func(*Options) {})
	var conns [2]*conn
	for i := range conns {
		c, _ := bareConn(t, e)
		c.address, c.zmtp.Identity, conns[i] = fmt.Sprint("host ", i), "twin", c
	}
	e.take(conns[0], "twin", false)
	if e.take(conns[1], "twin", false) != conns[0] {
		t.Fatal("another host took the name")
	}
	conns[0].cut(causeProtocol, "a fault")
	if e.take(conns[1], "twin", false) != nil || e.names["twin"] != conns[1] {
		t.Error("the name is not free")
	}
}

// A stranger that was told why it is not let in is not waited for where many others
// come, so that it is not in their way.
func TestStrangersAreNotInTheWay(t *testing.T) {
	t.Parallel()
	const most = 10
	for others, waits := range map[int]bool{0: true, most / 2: true, most/2 + 1: false, most: false} {
		e := bareEndpoint(t, func(o *Options) { o.MaxHandshakes = most })
		for range others {
			e.handshaking[new(conn)] = time.Now()
		}
		c, far := bareConn(t, e)
		if err := unix.Shutdown(int(far.Fd()), unix.SHUT_WR); err != nil { // so that it need not be waited for
			t.Fatal(err)
		}
		c.lingeringClose()
		n, _, err := unix.Recvfrom(int(far.Fd()), make([]byte, 1), unix.MSG_DONTWAIT)
		if shown := n == 0 && err == nil; shown != waits {
			t.Errorf("with %d others it was shown the end: %t (%v), want %t", others, shown, err, waits)
		}
	}
}

// A peer on a slow line takes bytes while its system's acknowledgements come in, though
// the socket has had room for nothing new; one that stands still is cut in time.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	e := bareEndpoint(t, func(o *Options) { o.Stall = 8 * time.Second })
	c, far := bareConn(t, e)
	c.peer = e.hub.broker.Attach(&c.out, transport.PeerInfo{Transport: "test"})
	c.in.peer = c.peer
	if err := unix.SetNonblock(int(far.Fd()), true); err != nil {
		t.Fatal(err)
	}
	full := make([]byte, 1<<20)
	var iov iovecs
	iov.add(full)
	written, err := c.socket.write(&iov, false)
	if err != nil || written == len(full) {
		t.Fatalf("wrote %d of %d, %v", written, len(full), err)
	}
	c.moved.Add(uint64(written))
	now := time.Now()
	c.lastSeen.Store(now.UnixNano())
	c.out.waitingSince.Store(now.UnixNano())
	for range 4 { // much longer than it may take no byte
		for range 7 {
			now = now.Add(time.Second)
			c.check(now)
		}
		before := c.out.Moved()
		if _, err := io.ReadFull(far, full[:40<<10]); err != nil { // the system gives back some 32 KiB at a time
			t.Fatal(err)
		}
		if c.ending() {
			t.Fatalf("it is ended as %q", c.end.cause)
		}
		if c.out.Moved() == before {
			t.Fatal("nothing has moved")
		}
	}
	for range 10 {
		now = now.Add(time.Second)
		c.check(now)
	}
	if !c.ending() || c.end.cause != causeStalled {
		t.Error("it stands still, and is not ended")
	}
}

// PINGs that come together have one PONG, which is written with what else they cause.
func TestPingsTogether(t *testing.T) {
	t.Parallel()
	e := bareEndpoint(t, func(*Options) {})
	c, _ := bareConn(t, e)
	c.peer = e.hub.broker.Attach(&c.out, transport.PeerInfo{Transport: "test"})
	c.in.peer = c.peer
	writes := 0
	c.socket.writing = func(uintptr) bool {
		writes++
		c.socket.put = c.out.write.batch.asked
		return true
	}
	c.peer.Cork()
	for range 10_000 {
		if err := c.command(zmtp.AppendPing(nil, 0, []byte("x"))[2:]); err != nil {
			t.Fatal(err)
		}
	}
	if writes > 0 {
		t.Errorf("%d writes before all is read", writes)
	}
	c.in.uncork()
	e.running.Wait()
	if writes != 1 || !c.out.empty() {
		t.Errorf("%d writes, want one", writes)
	}
}
