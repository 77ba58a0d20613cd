//go:build linux

package zmqbridge

import (
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/zmtp"
)

// waitFor waits for what no channel tells.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// bareEndpoint is an endpoint without addresses.
func bareEndpoint(t *testing.T, change func(*Options)) *endpoint {
	t.Helper()
	limits := broker.DefaultOptions()
	b, err := broker.New(limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(flow.Draining, "the test is over") })
	o := DefaultOptions(limits)
	change(&o)
	return newEndpoint(&hub{broker: b, sampler: logs.NewSampler(nil, logs.Options{})}, zmtp.Router, o)
}

// bareConn is a connection of an endpoint whose peer, of ZMTP 3.1, does nothing.
func bareConn(t *testing.T, e *endpoint) (c *conn, far *os.File) {
	t.Helper()
	near, far := socketPair(t)
	c, err := newConn(&e.site, e, near, true)
	if err != nil {
		t.Fatal(err)
	}
	c.zmtp = &zmtp.Peer{Major: 3, Minor: 1}
	t.Cleanup(func() {
		_ = c.socket.Close()
		_ = far.Close()
	})
	return c, far
}

// An error of the gateway's own in who looks after the connections ends the one at
// which it is met, and the others are looked after.
func TestPanicWhileSupervising(t *testing.T) {
	t.Parallel()
	e := bareEndpoint(t, func(o *Options) { o.Heartbeat, o.HeartbeatTimeout = 20*time.Millisecond, time.Minute })
	var conns [2]*conn
	for i := range conns {
		c, _ := bareConn(t, e)
		e.conns[c], conns[i] = struct{}{}, c
	}
	conns[0].zmtp = nil // whom it will be asked for
	var wait sync.WaitGroup
	wait.Go(e.supervise)
	<-conns[0].stop
	if conns[0].end.cause != causePanic {
		t.Errorf("it has ended as %s", conns[0].end.cause)
	}
	waitFor(t, "the other one was asked", func() bool { return conns[1].pinged.Load() != 0 })
	waitFor(t, "it was met again", func() bool { return time.Since(conns[0].opened) > 200*time.Millisecond })
	close(e.stopped)
	wait.Wait()
	if n := e.hub.panics.Load(); n != 1 {
		t.Errorf("%d connections were counted, want 1", n)
	}
}

// faulty is a connection that the gateway meets an error of its own with.
type faulty struct{ net.Conn }

func (faulty) SyscallConn() (syscall.RawConn, error) { panic("an error that a test has put there") }

// Likewise where a connection begins.
func TestPanicWhileAccepting(t *testing.T) {
	t.Parallel()
	e := bareEndpoint(t, func(*Options) {})
	near, far := net.Pipe()
	e.admit(faulty{near}, &listener{})
	if n, err := far.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("it was not closed")
	}
	if n := e.hub.panics.Load(); n != 1 {
		t.Errorf("%d connections were counted, want 1", n)
	}
}

// What a connection could not be sent is counted out when it is lost.
func TestNothingIsQueuedAfterAFailure(t *testing.T) {
	t.Parallel()
	for _, single := range []bool{true, false} {
		e := newEnd(t, sortOf(single), 64<<20, [2]*zmtp.Session{})
		talk := newTalk(single, 1)
		for range 300 { // more than a batch takes, and than a socket
			m := talk.dat()
			m.Payload = [][]byte{make([]byte, 100_000)}
			if err := e.conn.out.Deliver(transport.Delivery{Message: m, Type: zio.DAT}); err != nil {
				t.Fatal(err)
			}
		}
		e.conn.out.Flush()
		if messages, _ := e.conn.out.Queued(); messages == 0 {
			t.Error("the socket has taken all, so this shows nothing")
		}
		_ = e.far.Close()
		e.conn.site.running.Wait() // for who writes
		if messages, bytes := e.conn.out.Queued(); messages != 0 || bytes != 0 {
			t.Errorf("%d messages of %d bytes are queued", messages, bytes)
		}
		e.close()
	}
}

// carrier counts how often its message was released.
type carrier struct{ released int }

func (c *carrier) Release() { c.released++ }
func (c *carrier) Hold()    { c.released-- }

// A message of which no form can be made is released, and so is the turn to write.
func TestUnwritableIsReleased(t *testing.T) {
	t.Parallel()
	for _, curve := range []bool{false, true} {
		var sessions [2]*zmtp.Session
		if curve {
			sessions[0], sessions[1] = newSessions(t)
		}
		e := newEnd(t, zmtp.Router, 1<<20, sessions)
		var carriers [3]carrier
		for i := range carriers {
			m := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: [][]byte{{1}}}
			if i == 1 {
				m.Ends = []int{3} // behind the parts
			}
			m.Carry(&carriers[i])
			if err := e.conn.out.Deliver(transport.Delivery{Message: m, Type: zio.DAT}); err != nil {
				t.Fatal(err)
			}
		}
		e.conn.out.Flush()
		for i, c := range carriers {
			if c.released != 1 {
				t.Errorf("message %d was released %d times", i, c.released)
			}
		}
		if messages, bytes := e.conn.out.Queued(); messages != 0 || bytes != 0 || !e.conn.out.empty() {
			t.Errorf("%d messages of %d bytes are queued, nobody writes: %t", messages, bytes, e.conn.out.empty())
		}
		<-e.conn.stop
		if e.conn.end.cause != causePanic {
			t.Errorf("it has ended as %s", e.conn.end.cause)
		}
		e.close()
	}
}
