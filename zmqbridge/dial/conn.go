package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/zioflow/gateway/zmtp"
)

// Conn is an end that connects outwards, again and again. Its methods may be called
// concurrently.
type Conn struct {
	options Options
	to      peerAddress
	config  *zmtp.Config
	dial    func(ctx context.Context, network, address string) (net.Conn, error)

	stop    context.CancelFunc
	running sync.WaitGroup

	mu           sync.Mutex
	current      *session      // guarded by mu; which calls work on; nil before the first one
	later        *session      // guarded by mu; made since current was lost; nil if none lives
	failed       *Error        // guarded by mu; why there is none; nil while there is
	closed       bool          // guarded by mu
	lossReturned bool          // guarded by mu; current's loss was returned by a call
	changed      chan struct{} // guarded by mu; closed, and made anew, when any of them changes
}

// New begins to connect, and returns at once. An error says what is wrong with the
// options. Send and Receive wait for the first connection.
func New(o Options) (*Conn, error) { return newConn(o, new(net.Dialer).DialContext) }

func newConn(o Options, dial func(context.Context, string, string) (net.Conn, error)) (*Conn, error) {
	to, err := parseAddress(o.Address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Address, err)
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Address, err)
	}
	config := &zmtp.Config{Type: o.Type, Identity: o.Identity, Curve: o.Curve}
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Address, err)
	}
	c := &Conn{options: o, to: to, config: config, dial: dial, changed: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.running.Go(func() { c.supervise(ctx) })
	return c, nil
}

// Dial is New that waits for the first connection. If that cannot be made it does not
// try again, but returns why.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	err = c.await(ctx, func() (bool, error) {
		if c.current == nil && c.failed != nil {
			return true, c.failed
		}
		return c.current != nil, nil
	})
	if err != nil {
		return nil, errors.Join(err, c.Close(0))
	}
	return c, nil
}

// Next has the calls from now on work on the next connection, and waits for that
// while the context lasts. While the present one lives, that is the one. Until Next
// is called after a loss, Send and Receive return it. What came on a lost connection
// and was not received is dropped.
//
// If the context is over first, the error wraps the context's and, if there is one,
// that of the last attempt.
func (c *Conn) Next(ctx context.Context) error {
	return c.await(ctx, func() (bool, error) {
		if c.current != nil && c.current.lost() == nil {
			return true, nil
		}
		if c.later == nil {
			return false, nil
		}
		c.current, c.later, c.lossReturned = c.later, nil, false
		return true, nil
	})
}

// Peer is what the peer has said about itself; false if there is no connection.
func (c *Conn) Peer() (zmtp.Peer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range []*session{c.current, c.later} {
		if s != nil && s.lost() == nil {
			return s.peer, true
		}
	}
	return zmtp.Peer{}, false
}

// Flush waits, while the context lasts, until everything that was sent on the present
// connection has been written. After a loss it returns that.
func (c *Conn) Flush(ctx context.Context) error {
	s, err := c.use(ctx)
	if err != nil {
		return err
	}
	for s.out.counted().Messages > 0 {
		select {
		case <-s.out.idle():
		case <-s.done:
			return c.over(s)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Stats is what has crossed a connection so far.
type Stats struct {
	// BytesIn and BytesOut were read and written since the handshake; while a large
	// message crosses, they grow.
	BytesIn, BytesOut uint64
	// LastSeen is when the last byte came.
	LastSeen time.Time
}

// Stats are those of the present connection; zero before the first one.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	if s == nil {
		return Stats{}
	}
	return Stats{
		BytesIn: s.bytesIn.Load(), BytesOut: s.bytesOut.Load(),
		LastSeen: s.started.Add(time.Duration(s.lastSeen.Load())),
	}
}

// Close ends the connection for good, and returns when everything of it has ended.
// For up to linger it lets what waits go out, and the peer see that nothing more
// will come. The error says what was not sent, unless a call has said so before. A
// second Close does nothing.
func (c *Conn) Close(linger time.Duration) error {
	c.mu.Lock()
	s, again := c.current, c.closed
	c.closed = true
	c.wake()
	c.mu.Unlock()
	if again {
		c.running.Wait()
		return nil
	}
	if s != nil && linger > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), linger)
		s.finish(ctx)
		cancel()
	}
	c.stop()
	c.running.Wait()
	if s == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if lost := s.lost(); lost.Unsent > 0 && !c.lossReturned {
		return lost
	}
	return nil
}

// send queues a message for the present connection.
func (c *Conn) send(ctx context.Context, p outbound) error {
	s, err := c.use(ctx)
	if err != nil {
		return err
	}
	err = s.out.push(ctx, p, p.size)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrClosed):
		return c.over(s)
	default:
		return fmt.Errorf("%s: the peer does not take what waits for it: %w", c.options.Address, err)
	}
}

// receive takes the next message of the present connection.
func (c *Conn) receive(ctx context.Context) ([][]byte, error) {
	s, err := c.use(ctx)
	if err != nil {
		return nil, err
	}
	for {
		var room [1]entry[[][]byte]
		if got := s.in.take(room[:0], 1); len(got) > 0 {
			s.in.release(1, got[0].size)
			return got[0].item, nil
		}
		if s.in.ended() {
			return nil, c.over(s)
		}
		select {
		case <-s.in.filled():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// use is the session that calls work on. It waits for the first one.
func (c *Conn) use(ctx context.Context) (s *session, err error) {
	err = c.await(ctx, func() (bool, error) {
		s = c.current
		return s != nil, nil
	})
	return s, err
}

// over is the error of a call on a session that takes or gives no more.
func (c *Conn) over(s *session) error {
	if c.isClosed() {
		return ErrClosed
	}
	<-s.done
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lossReturned = c.lossReturned || s == c.current
	return s.lost()
}

// await waits, while the context lasts, until the function says so. It is called with
// c.mu held.
func (c *Conn) await(ctx context.Context, until func() (bool, error)) error {
	for {
		c.mu.Lock()
		closed, changed, failed := c.closed, c.changed, c.failed
		if closed {
			c.mu.Unlock()
			return ErrClosed
		}
		done, err := until()
		c.mu.Unlock()
		switch {
		case done:
			return err
		case ctx.Err() != nil && failed != nil:
			return fmt.Errorf("%w (%w)", failed, ctx.Err())
		case ctx.Err() != nil:
			return fmt.Errorf("%s: there is no connection yet: %w", c.options.Address, ctx.Err())
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// wake wakes those who wait for a change. c.mu is held.
func (c *Conn) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}
