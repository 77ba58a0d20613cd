// Package conns knows the connections of the gRPC front: what holds a peer to one, when
// it should go to another gateway, and why gRPC has cut it.
package conns

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/internal/logs"
)

// Options are what a Table needs.
type Options struct {
	// Log takes a line for each connection that is cut.
	Log *logs.Sampler
	// Cut is told the cause of each, one of Causes.
	Cut func(cause string)
	// MaxHeaders is how many bytes of headers a call may have.
	MaxHeaders int
	// Stop ends when the server does: then nothing is waited for, and nothing is said.
	Stop context.Context
}

// Table is the connections that there are. Its methods may be called concurrently.
type Table struct {
	options Options

	mu       sync.Mutex
	all      map[*Conn]struct{} // guarded by mu
	draining bool               // guarded by mu
	undrain  chan struct{}      // guarded by mu; closed when the drain is over
}

// NewTable makes an empty table.
func NewTable(o Options) *Table {
	return &Table{options: o, all: map[*Conn]struct{}{}}
}

// greetingDelay is how long a new connection waits for the gateway's first byte while
// that is draining. Clients that know of several addresses try the next one after
// 250 ms, and take the first that greets them: so they come to another gateway.
// Who knows of this one alone, as operators do, comes in a moment later.
const greetingDelay = 750 * time.Millisecond

// Greet waits, while the gateway is draining, until a new connection may be greeted.
// Who comes by no network does not wait.
func (t *Table) Greet(conn net.Conn) {
	t.mu.Lock()
	draining, undrain := t.draining, t.undrain
	t.mu.Unlock()
	if !draining || conn.RemoteAddr().Network() == "unix" {
		return
	}
	timer := time.NewTimer(greetingDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-undrain:
	case <-t.options.Stop.Done():
	}
}

// Drain tells peers that the next call should go elsewhere: each whose connection carries
// no flow at once, the others when one of theirs has ended or is refused. Who listens is
// not told before he stops: flows that he is offered are accepted here. Calls that have
// begun go on.
func (t *Table) Drain() {
	for _, goAway := range t.drain() {
		goAway()
	}
}

// drain returns how those are told who can go at once.
func (t *Table) drain() (idle []func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining {
		return nil
	}
	t.draining, t.undrain = true, make(chan struct{})
	for c := range t.all {
		if c.flows == 0 && c.listening == 0 && c.goAway != nil {
			idle = append(idle, c.goAway)
		}
	}
	return idle
}

// Undrain ends that. Who has gone comes back by himself, or not.
func (t *Table) Undrain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining {
		t.draining = false
		close(t.undrain)
	}
}

// Call is what a Conn is told of a call that it carries.
type Call struct {
	// Flow says that it carries a flow, Listens that it is offered some.
	Flow, Listens bool
	// GoAway asks the peer to make its next call by another connection. It does not
	// wait. Nil where that cannot be.
	GoAway func()
	// Written is closed when nothing more is written to the connection, all of it; nil
	// where that is not known.
	Written <-chan struct{}
}

// Begin takes note of a call that begins.
func (c *Conn) Begin(call Call) {
	t := c.table
	t.mu.Lock()
	defer t.mu.Unlock()
	c.count(call, 1)
	c.goAway, c.written = call.GoAway, call.Written
	c.carried = c.carried || call.Flow
}

// count counts a call. table.mu is held.
func (c *Conn) count(call Call, n int) {
	c.calls += n
	if call.Flow {
		c.flows += n
	}
	if call.Listens {
		c.listening += n
	}
}

// End takes note that it ends: to be called before its peer is told.
func (c *Conn) End(call Call) {
	if c.ended(call) && call.GoAway != nil {
		call.GoAway()
	}
}

// ended tells whether the peer should go now.
func (c *Conn) ended(call Call) bool {
	t := c.table
	t.mu.Lock()
	defer t.mu.Unlock()
	c.count(call, -1)
	return t.draining && c.listening == 0 && (call.Flow || call.Listens)
}

// Who tells who calls.
func (c *Conn) Who(peer transport.PeerInfo) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	c.peer = peer
}

func (c *Conn) who() transport.PeerInfo {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	return c.peer
}
