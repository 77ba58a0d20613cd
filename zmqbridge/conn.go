package zmqbridge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/zmqbridge/transit"
	"github.com/zioflow/gateway/zmtp"
)

// conn is one connection. Its goroutine takes the handshake, reads, and has the
// broker see what it has read; whoever delivers to it writes (outbox).
type conn struct {
	endpoint *endpoint
	id       uint64 // unlike all others of the process
	address  string // of the peer, without port; set before the handshake
	local    bool   // came to an address without CURVE
	hasSlot  bool   // guarded by endpoint.mu; has a slot of those that are established
	socket   *socket
	opened   time.Time

	// Set by the handshake.
	zmtp      *zmtp.Peer
	session   *zmtp.Session     // nil without CURVE
	principal *access.Principal // nil where nobody is asked
	peer      *broker.Peer
	account   *broker.ByteAccount
	output    *broker.ByteAccount

	in  reader
	out outbox

	finalSent   bool // the peer was sent why the connection ends; its goroutine's
	pongPending bool // a PONG waits to be written; its goroutine's
	unsent      int  // as was seen last of what the system holds; the supervisor's
	transit     transit.Meter

	stop     chan struct{} // closed when the connection is being ended
	stopping sync.Once
	end      cut           // set before stop is closed
	drained  chan struct{} // holds a token when nothing waits to be written

	bytesIn, bytesOut atomic.Uint64
	moved             atomic.Uint64 // bytes of messages, either way
	lastSeen          atomic.Int64  // Unix nanoseconds of the last byte that came
	pinged            atomic.Int64  // likewise, of a PING that was not answered; 0 for none
	ttl               atomic.Int64  // of the last PING that came; 0 for none
	sentData          atomic.Bool   // a DAT was sent since the last byte came
	failed            atomic.Bool   // a panic has ended it
	readPaused        atomic.Bool   // is not read from, since the budget has no room
	resumedAt         atomic.Int64  // Unix nanoseconds, before which silence does not count
}

// cut is why a connection was ended from this side.
type cut struct {
	cause  cause
	reason flow.Reason // of its flow; NotEnded: the peer has gone
	detail string
}

// cause is why a connection ended, in one word, for metrics.
type cause string

// The causes.
const (
	causeGone     cause = "gone"     // the peer has closed it, or the network
	causeSilent   cause = "silent"   // heartbeats were not answered
	causeStalled  cause = "stalled"  // the peer took no byte
	causeReplaced cause = "replaced" // another connection took its name
	causeAdmin    cause = "admin"    // an operator ended it
	causeProtocol cause = "protocol" // it broke ZMTP
	causeTooLarge cause = "too_large"
	causePanic    cause = "panic"
	causeClosing  cause = "closing" // the gateway is
)

var causes = []cause{
	causeGone, causeSilent, causeStalled, causeReplaced, causeAdmin, causeProtocol, causeTooLarge, causePanic, causeClosing,
}

func newConn(e *endpoint, c net.Conn, local bool) (*conn, error) {
	s, err := newSocket(c)
	if err != nil {
		return nil, err
	}
	n := &conn{
		endpoint: e, id: e.bridge.lastID.Add(1), address: hostOf(c.RemoteAddr()), local: local, socket: s,
		opened: time.Now(), stop: make(chan struct{}), drained: make(chan struct{}, 1),
	}
	n.out.conn, n.in.conn = n, n
	n.in.prepare()
	n.lastSeen.Store(n.opened.UnixNano())
	return n, nil
}

// hostOf is where an address is, without port.
func hostOf(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().String()
	}
	return ""
}

// run serves the connection to its end.
func (c *conn) run() {
	defer c.recover()
	defer c.close()
	defer c.recover()
	if !c.shakeHands() {
		return
	}
	c.serve()
}

// recover ends a connection on whose path something has panicked, and no other. It is
// deferred by whoever works for the connection.
func (c *conn) recover() {
	if problem := recover(); problem != nil {
		c.panicked(problem)
	}
}

// panicked ends the connection because of a panic, and counts it once.
func (c *conn) panicked(problem any) {
	if !c.failed.Swap(true) {
		c.endpoint.bridge.stats.panics.Add(1)
	}
	c.cutFlow(causePanic, flow.PeerGone, "an error in the gateway")
	c.log(slog.LevelError, "panic", "panic on a connection", "panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
}

// serve reads until the connection ends, and takes the peer out of the broker then.
func (c *conn) serve() {
	defer c.leave()
	defer c.recover()
	err := c.in.look() // a peer need not wait for our READY
	for err == nil {
		err = c.in.next()
	}
	c.cutFor(err)
}

// leave tells the broker how the connection has ended.
func (c *conn) leave() {
	c.cut(causeGone, "connection closed")
	c.peer.Uncork()
	if c.end.reason != flow.NotEnded {
		c.peer.Fail(c.end.reason, c.end.detail)
	}
	if c.end.cause != causeGone && c.end.cause != causeStalled && c.end.cause != causeSilent {
		c.flushOut(c.endpoint.options.Linger)
		c.finalSent = true
	}
	c.peer.Leave(c.end.detail)
	c.in.drop()
}

// flushOut waits until what is queued has been written, or the time is over.
func (c *conn) flushOut(d time.Duration) {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	for !c.out.empty() {
		select {
		case <-c.drained:
		case <-deadline.C:
			return
		}
	}
}

// idle tells that nothing waits to be written.
func (c *conn) idle() {
	select {
	case c.drained <- struct{}{}:
	default:
	}
}

// cut has the connection end: its goroutine stops reading. The first call says why.
// It may be called concurrently, and does not wait.
func (c *conn) cut(why cause, detail string) { c.cutFlow(why, flow.NotEnded, detail) }

// cutFlow is cut for a fault for which the flow ends with that reason.
func (c *conn) cutFlow(why cause, reason flow.Reason, detail string) {
	c.stopping.Do(func() {
		c.end = cut{why, reason, detail}
		close(c.stop)
		_ = c.socket.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	})
}

// ending tells whether the connection is being ended.
func (c *conn) ending() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// close closes the connection, whose broker side is over.
func (c *conn) close() {
	c.cut(causeGone, "connection closed")
	c.out.close()
	if c.finalSent {
		c.lingeringClose()
	}
	_ = c.socket.Close()
	c.endpoint.remove(c)
}

// wrote takes note of bytes that the socket took.
func (c *conn) wrote(n int) {
	c.bytesOut.Add(uint64(n))
	c.endpoint.stats.bytesOut.Add(uint64(n))
}

// read takes note of bytes that came, and so of a sign of life.
func (c *conn) read(n int) {
	c.bytesIn.Add(uint64(n))
	c.endpoint.stats.bytesIn.Add(uint64(n))
	c.lastSeen.Store(time.Now().UnixNano())
	if c.pinged.Load() != 0 {
		c.pinged.Store(0)
	}
	if c.sentData.Load() {
		c.sentData.Store(false)
	}
}

// pauseReading takes note that the connection is not read from until listen: its peer's
// silence says nothing meanwhile.
func (c *conn) pauseReading() { c.readPaused.Store(true) }

// resumeReading has the peer's silence count from now on.
func (c *conn) resumeReading() {
	c.resumedAt.Store(time.Now().UnixNano())
	c.pinged.Store(0)
	c.readPaused.Store(false) // last, for check
}

// silent is for how long the peer could be heard and was not.
func (c *conn) silent(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - max(c.lastSeen.Load(), c.resumedAt.Load()))
}

// log writes a line about the peer, of which there may be many.
func (c *conn) log(level slog.Level, kind, message string, attributes ...any) {
	name := ""
	if c.principal != nil {
		name = c.principal.Name()
	}
	attributes = append([]any{"endpoint", c.endpoint.front, "address", c.address, "connection", c.id}, attributes...)
	c.endpoint.bridge.sampler.Log(context.Background(), level, "zmq "+kind, logs.Of(name, c.address), message, attributes...)
}

// info is how the broker knows the peer.
func (c *conn) info() broker.PeerInfo {
	info := broker.PeerInfo{Transport: c.endpoint.front, Identity: identityText(c.zmtp.Identity), Address: c.address}
	switch {
	case info.Identity != "":
	case c.endpoint.single():
		info.Identity = strconv.FormatUint(c.id, 10)
	default: // what a ROUTER calls a nameless peer: a zero byte and a number
		info.Identity = fmt.Sprintf("%010x", c.id&0xffffffff)
	}
	if c.principal != nil {
		info.Name = c.principal.Name()
	}
	return info
}

// identityText is an identity as people write it: in hex unless it is readable.
func identityText(identity string) string {
	for i := range len(identity) {
		if b := identity[i]; b < ' ' || b > '~' {
			return fmt.Sprintf("%x", identity)
		}
	}
	return identity
}

// describe implements broker.Describer for the outbox.
func (c *conn) describe() broker.LinkInfo {
	messages, bytes := c.out.Queued()
	info := broker.LinkInfo{
		Protocol:  fmt.Sprintf("ZMTP %d.%d", c.zmtp.Major, c.zmtp.Minor),
		Mechanism: string(c.zmtp.Mechanism),
		BytesIn:   c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		QueuedMessages: messages, QueuedBytes: bytes,
		LastSeen: time.Unix(0, c.lastSeen.Load()),
	}
	if c.zmtp.Mechanism == zmtp.Curve {
		info.Key = access.CurveKey(c.zmtp.Key).String()
	}
	return info
}
