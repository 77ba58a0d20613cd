package cluster

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/cluster/members"
)

// counts are what has become of the node so far. They may be used concurrently.
type counts struct {
	joined, tablesRead, tablesFailed, carriedOut, carriedIn, passed, bytesIn, bytesOut atomic.Uint64

	left    [members.Gone + 1]atomic.Uint64   // by Why
	refused [members.Excess + 1]atomic.Uint64 // by Refusal
}

// countedListener counts the bytes of connections that it accepts.
type countedListener struct {
	net.Listener
	counts *counts
}

// Accept implements net.Listener.
func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &notedConn{conn, nil, l.counts}, nil
}

// notedConn counts bytes, and takes note of when they come.
type notedConn struct {
	net.Conn
	came   *came // nil if it does not matter
	counts *counts
}

// Read implements net.Conn.
func (c *notedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.counts.bytesIn.Add(uint64(n))
		if c.came != nil {
			c.came.note()
		}
	}
	return n, err
}

// Write implements net.Conn.
func (c *notedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.counts.bytesOut.Add(uint64(max(0, n)))
	return n, err
}

// came is when bytes have last come. It may be used concurrently.
type came struct{ after atomic.Int64 } // nanoseconds after begun; 0 for never

// begun is a moment of the clock that nobody sets.
var begun = time.Now()

func (c *came) note() { c.after.Store(int64(time.Since(begun))) }

// at is the time; zero for never.
func (c *came) at() time.Time {
	if after := c.after.Load(); after != 0 {
		return begun.Add(time.Duration(after))
	}
	return time.Time{}
}
