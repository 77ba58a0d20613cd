package zmqbridge

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/zmtp"
)

// newConn is a connection that has come to an address.
func newConn(at *site, all members, c net.Conn, local bool) (*conn, error) {
	s, err := newSocket(c)
	if err != nil {
		return nil, err
	}
	n := &conn{
		site: at, members: all, id: at.hub.lastID.Add(1), address: hostOf(c.RemoteAddr()), local: local, opened: time.Now(),
		ender: ender{socket: s, panics: &at.hub.panics, stop: make(chan struct{}), drained: make(chan struct{}, 1)},
	}
	n.reportPanic = func(problem any, stack []byte) {
		n.log(slog.LevelError, "panic", "panic on a connection", "panic", fmt.Sprint(problem), "stack", string(stack))
	}
	n.total = &at.stats.traffic
	n.out = outbox{
		ender: &n.ender, describer: n.describe, socket: s, vitals: &n.vitals, highWater: at.options.HighWater, running: &at.running,
		write: writer{single: at.single(), vitals: &n.vitals},
	}
	n.in = reader{
		socket: s, vitals: &n.vitals, stop: n.stop, single: at.single(), maxMessage: at.options.MaxMessage,
		tooLarge: &at.stats.tooLarge, command: n.command, flush: n.out.Flush,
	}
	n.in.prepare()
	n.lastSeen.Store(n.opened.UnixNano())
	return n, nil
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
		c.flushOut(c.site.options.Linger)
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

// close closes the connection, whose broker side is over.
func (c *conn) close() {
	c.cut(causeGone, "connection closed")
	c.out.close()
	if c.finalSent {
		c.lingeringClose()
	}
	_ = c.socket.Close()
	c.members.remove(c)
}

// cutFor ends the connection because of an error of reading from it.
func (c *conn) cutFor(err error) {
	if fault, ok := errors.AsType[*protocolFault](err); ok {
		c.log(slog.LevelInfo, "protocol", "connection ended", "cause", string(fault.cause), "detail", fault.detail)
		c.cutFlow(fault.cause, flow.ProtocolError, fault.detail)
		return
	}
	if fault, ok := errors.AsType[*zmtp.Error](err); ok {
		c.log(slog.LevelInfo, "protocol", "connection ended", "cause", string(causeProtocol), "detail", fault.Detail)
		c.cutFlow(causeProtocol, flow.ProtocolError, fault.Detail)
		return
	}
	if errors.Is(err, io.EOF) {
		c.cut(causeGone, "connection closed")
		return
	}
	c.cut(causeGone, "connection lost: "+reasonOf(err))
}
