package dial

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/zmtp"
)

// TestRetries: the waits between attempts double, from soon to a bound, and are not
// the same for everybody.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []Event
		o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client)
		o.FirstRetry, o.LastRetry = 100*time.Millisecond, 3*time.Second
		o.Notify = func(e Event) { events = append(events, e) }
		n := &network{t: t}
		c := n.start(o)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		err := c.Next(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("waiting for the connection: %v, want that the time is over, and why there is none", err)
		}
		if fault, ok := errors.AsType[*Error](err); !ok || fault.Cause != Unreachable || fault.Final() {
			t.Errorf("waiting for the connection: %#v, want %s, not final", err, Unreachable)
		}
		if err := c.Close(0); err != nil { // so that events are no longer written
			t.Error(err)
		}
		same := true
		for i, e := range events {
			middle := min(o.FirstRetry<<i, o.LastRetry)
			if e.State != Failed || e.Attempt != i+1 || e.Retry < middle*3/4 || e.Retry > middle*5/4+1 {
				t.Errorf("event %d is %v, attempt %d, with %v to wait, want about %v", i, e.State, e.Attempt, e.Retry, middle)
			}
			same = same && e.Retry == middle
		}
		if len(events) < 12 || len(events) > 22 || same {
			t.Errorf("%d attempts in 30 s, all waits regular: %t", len(events), same)
		}
	})
}

// TestFinalRefusal: who was refused tries again, but seldom; Dial does not.
func TestFinalRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []Event
		o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Dealer)
		o.Identity = "mine"
		o.Notify = func(e Event) { events = append(events, e) }
		n := &network{t: t, meet: func(_ int, conn net.Conn) {
			_, _ = welcome(conn, &zmtp.Config{Type: zmtp.Router, Authorize: func(p *zmtp.Peer) error {
				return errors.New("the identity " + p.Identity + " is in use")
			}})
		}}
		c := n.start(o)
		time.Sleep(22 * time.Second) // the bubble's time
		if err := c.Close(0); err != nil {
			t.Error(err)
		}
		if len(events) != 5 {
			t.Errorf("%d attempts in 22 s, want 5", len(events))
		}
		for _, e := range events {
			if e.State != Failed || e.Err.Cause != Refused || !e.Err.Final() || e.Retry != o.LastRetry ||
				!strings.Contains(e.Err.Error(), "the identity mine is in use") {
				t.Errorf("told %v: %v, next in %v", e.State, e.Err, e.Retry)
			}
		}
	})
}

// TestDropper: a peer that takes every connection and drops it at once is not
// tried more and more often.
func TestDropper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{t: t}
		n.meet = func(_ int, conn net.Conn) { n.server(conn) }
		c := n.start(DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client))
		time.Sleep(time.Minute)
		if err := c.Close(0); err != nil {
			t.Error(err)
		}
		if n.attempts < 10 || n.attempts > 30 {
			t.Errorf("%d attempts in a minute", n.attempts)
		}
	})
}

// TestRetryAfterLife: after a connection that has lived, the next attempt comes soon.
func TestRetryAfterLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		retry := make(chan time.Duration, 100)
		o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client)
		o.Heartbeat = 0
		o.Notify = func(e Event) {
			if e.State == Broken {
				retry <- e.Retry
			}
		}
		n := &network{t: t}
		n.meet = func(attempt int, conn net.Conn) {
			if attempt < 8 {
				return // before its greeting
			}
			n.server(conn)
			time.Sleep(time.Minute)
		}
		n.start(o)
		if wait := <-retry; wait > 2*o.FirstRetry {
			t.Errorf("the first retry after a connection of a minute comes after %v", wait)
		}
	})
}

// TestHandshakeTimeout: a peer that says nothing is given up.
func TestHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client)
		n := &network{t: t, meet: func(_ int, conn net.Conn) { (&far{Conn: conn}).discard() }}
		c := n.start(o)
		ctx, cancel := context.WithTimeout(t.Context(), o.Handshake+time.Second)
		defer cancel()
		err := c.Next(ctx)
		if fault, ok := errors.AsType[*Error](err); !ok || fault.Cause != Slow || !strings.Contains(fault.Detail, "may not speak ZeroMQ") {
			t.Errorf("%v, want that no greeting has come", err)
		}
	})
}

// TestCloseWhileConnecting: nothing keeps Close, neither a dial nor a handshake nor a
// wait; what waits for a connection is told.
func TestCloseWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{t: t, meet: func(_ int, conn net.Conn) { (&far{Conn: conn}).discard() }}
		c := n.start(DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client))
		waits := make(chan error, 3)
		go func() { waits <- c.SendParts(t.Context(), []byte("x")) }()
		go func() { _, err := c.ReceiveParts(t.Context()); waits <- err }()
		go func() { waits <- c.Next(t.Context()) }()
		synctest.Wait()
		begin := time.Now()
		if err := c.Close(time.Hour); err != nil || time.Since(begin) > 0 {
			t.Errorf("closing took %v: %v", time.Since(begin), err)
		}
		for range cap(waits) {
			if err := <-waits; !errors.Is(err, ErrClosed) {
				t.Errorf("who waited is told %v, want ErrClosed", err)
			}
		}
		if err := c.Close(0); err != nil {
			t.Errorf("closing again: %v", err)
		}
	})
}
