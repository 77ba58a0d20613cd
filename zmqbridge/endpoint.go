package zmqbridge

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/zmtp"
)

// endpoint serves the peers of one kind of socket, at any number of addresses.
type endpoint struct {
	site
	accepts sync.WaitGroup

	listeners []*listener // set before the first is served

	mu          sync.Mutex
	closing     bool                // guarded by mu
	conns       map[*conn]struct{}  // guarded by mu; with those that shake hands
	handshaking map[*conn]time.Time // guarded by mu; and since when
	names       map[string]*conn    // guarded by mu; by identity, of those that have one
	slotsTaken  int                 // guarded by mu; connections that are established, or will be
}

func newEndpoint(h *hub, kind zmtp.SocketType, o Options) *endpoint {
	e := &endpoint{
		site:  site{hub: h, options: o, kind: kind, front: "zmq-server", stopped: make(chan struct{})},
		conns: map[*conn]struct{}{}, handshaking: map[*conn]time.Time{}, names: map[string]*conn{},
	}
	if kind == zmtp.Router {
		e.front = "zmq-router"
	}
	e.stats.outcomes = newCounters()
	e.stats.ended = map[cause]*atomic.Uint64{}
	for _, why := range causes {
		e.stats.ended[why] = new(atomic.Uint64)
	}
	return e
}

// enter counts a connection that begins, unless as many as may are in their
// handshake, or the endpoint stops.
func (e *endpoint) enter(c *conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing || len(e.handshaking) >= e.options.MaxHandshakes {
		return false
	}
	e.conns[c] = struct{}{}
	e.handshaking[c] = c.opened
	return true
}

// established takes note that a connection's handshake has succeeded: from now on it
// may be written to by others.
func (e *endpoint) established(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.handshaking, c)
}

// takeSlot takes one of the slots for established connections for c, unless all are taken.
func (e *endpoint) takeSlot(c *conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.slotsTaken >= e.options.MaxConnections {
		return false
	}
	e.slotsTaken++
	c.hasSlot = true
	return true
}

// begins tells whether c is still in its handshake.
func (e *endpoint) begins(c *conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, early := e.handshaking[c]
	return early
}

// remove takes a connection out that is closed.
func (e *endpoint) remove(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
	delete(e.handshaking, c)
	if c.hasSlot {
		e.slotsTaken--
	}
	if c.peer != nil {
		e.stats.ended[c.end.cause].Add(1)
	}
	if c.zmtp != nil && e.names[c.zmtp.Identity] == c {
		delete(e.names, c.zmtp.Identity)
	}
}

// crowded tells whether more than half of the slots for handshakes are taken.
func (e *endpoint) crowded() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.handshaking) > (e.options.MaxHandshakes+1)/2
}

// all are the connections whose handshake is over.
func (e *endpoint) all() []*conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*conn, 0, len(e.conns))
	for c := range e.conns {
		if _, early := e.handshaking[c]; !early {
			all = append(all, c)
		}
	}
	return all
}

// stop takes no further connection, and ends those there are once what is queued for
// them has been written, or Linger is over.
func (e *endpoint) stop() error {
	e.mu.Lock()
	e.closing = true
	conns := slices.Collect(maps.Keys(e.conns))
	e.mu.Unlock()
	var errs []error
	for _, l := range e.listeners {
		errs = append(errs, l.close())
	}
	e.accepts.Wait()
	for _, c := range conns {
		c.cut(causeClosing, "the gateway is closing")
	}
	close(e.stopped)
	e.running.Wait()
	return errors.Join(errs...)
}
