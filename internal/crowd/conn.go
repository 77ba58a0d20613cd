package crowd

import (
	"net"
	"time"
)

// Conn is a visitor's connection: closing it takes the visitor out, and a stranger who
// does not read what is written to him loses it. Of one whose calls wait, nothing more is
// read.
type Conn struct {
	net.Conn
	visitor *Visitor
	limited bool   // in its writes; used by the goroutine that writes
	calls   uint64 // as of the last read; used by the goroutine that reads
}

// Conn is conn, with which the visitor is now served: as it was accepted, or encrypted.
func (v *Visitor) Conn(conn net.Conn) *Conn { return &Conn{Conn: conn, visitor: v} }

// Write implements net.Conn. One goroutine writes at a time.
func (c *Conn) Write(b []byte) (int, error) {
	switch patience := c.visitor.crowd.limits.Patience; {
	case patience > 0 && !c.visitor.isKnown.Load():
		c.limited = true
		now := time.Now()
		_ = c.SetWriteDeadline(now.Add(patience)) // fails with Write
		c.visitor.writing.Store(now.UnixNano())
		defer c.visitor.writing.Store(0)
	case c.limited:
		c.limited = false
		_ = c.SetWriteDeadline(time.Time{})
	}
	return c.Conn.Write(b)
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.visitor.Leave()
	return c.Conn.Close()
}

// Listen has all connections of l enter the crowd, as strangers' that never become
// known.
func (c *Crowd) Listen(l net.Listener) net.Listener { return &listener{l, c} }

type listener struct {
	net.Listener
	crowd *Crowd
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.crowd.Enter(conn).Conn(conn), nil
}
