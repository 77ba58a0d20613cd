package dial

import (
	"context"
	"net"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/zioflow/gateway/zmtp"
)

// State is what an Event tells.
type State string

// The states.
const (
	Connected State = "connected" // there is a connection
	Broken    State = "broken"    // there is none any more
	Failed    State = "failed"    // an attempt has failed
)

// Event is something that has become of a Conn's connections.
type Event struct {
	State State
	Peer  zmtp.Peer // of Connected
	Err   *Error    // of the others
	// Retry is when the next attempt is made, of the others.
	Retry time.Duration
	// Attempt counts, of Failed, how many have failed one after the other.
	Attempt int
}

// retries makes the waits between attempts: twice as long each time, more or less.
func (o *Options) retries() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: o.FirstRetry, MaxInterval: o.LastRetry, Multiplier: 2, RandomizationFactor: 0.25,
	}
}

// supervise connects, and serves the connection, until the context is over.
func (c *Conn) supervise(ctx context.Context) {
	retries := c.options.retries()
	for attempt := 1; ; attempt++ {
		s, rest, err := c.connect(ctx)
		state := Failed
		if err == nil {
			state = Broken
			err = c.serve(s, rest)
			attempt = 0
			if time.Since(s.started) > c.options.LastRetry {
				retries.Reset() // not when the peer takes it and drops it at once
			}
		}
		if ctx.Err() != nil || c.isClosed() {
			return
		}
		wait := retries.NextBackOff()
		if err.Final() {
			wait = c.options.LastRetry
		}
		c.notify(Event{State: state, Err: err, Retry: wait, Attempt: attempt})
		if state == Failed {
			c.failure(err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// serve has calls use a session, until it ends.
func (c *Conn) serve(s *session, rest []byte) *Error {
	c.mu.Lock()
	if c.current == nil {
		c.current = s
	} else {
		c.later = s
	}
	c.failed = nil
	c.wake()
	c.mu.Unlock()
	c.notify(Event{State: Connected, Peer: s.peer})
	err := s.run(rest)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.later == s {
		c.later = nil
	}
	c.failed = err
	c.wake()
	return err
}

// failure tells those who wait that an attempt has failed.
func (c *Conn) failure(err *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
	c.wake()
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *Conn) notify(e Event) {
	if c.options.Notify != nil {
		c.options.Notify(e)
	}
}

// connect makes a connection and takes its handshake.
func (c *Conn) connect(ctx context.Context) (*session, []byte, *Error) {
	limited, cancel := context.WithTimeout(ctx, c.options.Connect)
	conn, err := c.dial(limited, c.to.network, c.to.address)
	cancel()
	if err != nil {
		return nil, nil, unreachable(&c.options, err)
	}
	h, rest, fault := c.shakeHands(ctx, conn)
	if fault != nil {
		_ = conn.Close()
		return nil, nil, fault
	}
	return newSession(ctx, &c.options, conn, h), rest, nil
}

// shakeHands takes a connection to the point where messages may be sent. rest is what
// has come behind the handshake.
func (c *Conn) shakeHands(ctx context.Context, conn net.Conn) (h *zmtp.Handshake, rest []byte, fault *Error) {
	h = zmtp.NewHandshake(c.config)
	first := make([]byte, 0, maxFirst)
	waiting := h.Waiting()
	fail := func(err error) (*zmtp.Handshake, []byte, *Error) {
		return nil, nil, shakeError(&c.options, h, waiting, first, err)
	}
	if err := conn.SetDeadline(time.Now().Add(c.options.Handshake)); err != nil {
		return fail(err)
	}
	unwatch := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer unwatch()
	// Who refuses may close before it has read all. What it says then is still there,
	// so that writing may fail: reading will too, once all is read.
	_, _ = conn.Write(h.Start())
	for buffer := make([]byte, zmtp.MaxHandshakeCommand); !h.Done(); waiting = h.Waiting() {
		n, err := conn.Read(buffer)
		first = append(first, buffer[:min(n, maxFirst-len(first))]...)
		if err != nil && n == 0 {
			return fail(err)
		}
		used, out, err := h.Receive(buffer[:n])
		rest = append(rest, buffer[used:n]...)
		if len(out) > 0 {
			_, _ = conn.Write(out)
		}
		if err != nil {
			return fail(err)
		}
	}
	if !unwatch() {
		return fail(ctx.Err())
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return fail(err)
	}
	return h, rest, nil
}

// maxFirst is how many bytes of the peer's first ones are looked at to tell what
// it is.
const maxFirst = 16
