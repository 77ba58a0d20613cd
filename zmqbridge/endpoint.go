package zmqbridge

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/zmtp"
)

// endpoint serves the peers of one kind of socket, at any number of addresses.
type endpoint struct {
	bridge  *bridge
	options Options
	kind    zmtp.SocketType // Server or Router
	front   string          // how operators call it
	stats   endpointStats

	stopped chan struct{}
	running sync.WaitGroup // all goroutines but those that accept
	accepts sync.WaitGroup

	listeners []*listener // set before the first is served

	mu          sync.Mutex
	closing     bool                // guarded by mu
	conns       map[*conn]struct{}  // guarded by mu; with those that shake hands
	handshaking map[*conn]time.Time // guarded by mu; and since when
	names       map[string]*conn    // guarded by mu; by identity, of those that have one
	slotsTaken  int                 // guarded by mu; connections that are established, or will be
}

// listener is one address.
type listener struct {
	net.Listener
	bound  string // as peers may write it
	local  bool   // only this machine can reach it
	lock   *PathLock
	folder string // made for an ipc address of the gateway's choice
}

func newEndpoint(b *bridge, kind zmtp.SocketType, o Options) *endpoint {
	e := &endpoint{
		bridge: b, options: o, kind: kind, front: "zmq-server", stopped: make(chan struct{}),
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

// single tells whether messages have one part: those of CLIENTs.
func (e *endpoint) single() bool { return e.kind == zmtp.Server }

// start serves the addresses, all of which are bound.
func (e *endpoint) start() {
	for _, l := range e.listeners {
		e.accepts.Go(func() { e.accept(l) })
	}
	e.running.Go(e.supervise)
}

// acceptPause is how long nothing is accepted after an error that may last, such as
// too many open files.
const acceptPause = 50 * time.Millisecond

func (e *endpoint) accept(l *listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			e.stats.outcomes.add(outcomeAcceptFailed)
			e.bridge.line(e, slog.LevelWarn, "accept", "connection not accepted", "address", l.bound, "error", err)
			select {
			case <-time.After(acceptPause):
				continue
			case <-e.stopped:
				return
			}
		}
		e.admit(c, l)
	}
}

// admit begins to serve a connection. A panic costs this one.
func (e *endpoint) admit(socket net.Conn, l *listener) {
	defer func() {
		if problem := recover(); problem != nil {
			e.bridge.stats.panics.Add(1)
			e.bridge.line(e, slog.LevelError, "panic", "panic on a connection that begins",
				"panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
			_ = socket.Close()
		}
	}()
	c, err := newConn(e, socket, e.options.CurveKey == "" || e.options.PlainLocal && l.local)
	if err != nil {
		_ = socket.Close()
		e.bridge.line(e, slog.LevelError, "accept", "connection not served", "error", err)
		return
	}
	if !e.enter(c) {
		e.stats.outcomes.add(outcomeBusy)
		c.log(slog.LevelWarn, "busy", "connection refused", "cause", string(outcomeBusy),
			"detail", "too many connections are in their handshake")
		_ = socket.Close()
		return
	}
	e.running.Go(c.run)
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

func (l *listener) close() error {
	return errors.Join(l.Close(), l.giveUp())
}

// giveUp gives up what an address has besides its socket.
func (l *listener) giveUp() (err error) {
	if l.lock != nil {
		err = l.lock.Release()
	}
	if l.folder != "" {
		err = errors.Join(err, os.RemoveAll(l.folder))
	}
	return err
}

// deny tells access of a connection that is not let in.
func (e *endpoint) deny(c *conn, d *access.Denial) {
	if e.options.Access != nil {
		e.options.Access.Deny(e.front, c.address, d)
	}
}
