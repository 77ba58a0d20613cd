package conns

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/http2"

	"github.com/zioflow/gateway/broker/transport"
)

// Conn is a connection as gRPC serves it: in clear text, if need be once it is decrypted.
// It sees what gRPC does with it by the frames that pass.
type Conn struct {
	net.Conn
	socket  net.Conn // as it was accepted
	table   *Table
	in, out frames

	old     chan struct{} // closed when gRPC has told the peer that the connection is old
	gone    chan struct{} // closed by Close
	closing sync.Once

	reading   atomic.Bool  // somebody is in Read
	left      atomic.Bool  // reading or writing has failed: it was the peer, or the network
	headers   atomic.Int64 // bytes of the block of headers that came last; 0 if something else did
	told      atomic.Bool  // to go away
	explained atomic.Bool  // why it is cut has been said

	calls, flows, listening int                // guarded by table.mu; that it carries: all, and those of a kind
	goAway                  func()             // guarded by table.mu; nil before the first call
	written                 <-chan struct{}    // guarded by table.mu; see Call
	carried                 bool               // guarded by table.mu; a flow, ever
	peer                    transport.PeerInfo // guarded by table.mu; who calls
}

// Add takes in a connection that is to be served. The socket is what was accepted of it.
func (t *Table) Add(conn, socket net.Conn) *Conn {
	c := &Conn{Conn: conn, socket: socket, table: t, old: make(chan struct{}), gone: make(chan struct{})}
	c.peer = transport.PeerInfo{Transport: "grpc", Address: conn.RemoteAddr().String()}
	c.in = frames{skip: len(http2.ClientPreface), wants: never, saw: c.came}
	c.out = frames{wants: telling, saw: c.went}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[c] = struct{}{}
	return c
}

func never(http2.FrameType) bool { return false }

// telling are the frames by which gRPC says what is wrong.
func telling(kind http2.FrameType) bool {
	return kind == http2.FrameGoAway || kind == http2.FrameRSTStream
}

// Old is closed when the connection has become as old as it may: the peer should make
// new calls by another one, and who holds it here should let it go.
func (c *Conn) Old() <-chan struct{} { return c.old }

// Read implements net.Conn. One goroutine reads at a time.
func (c *Conn) Read(b []byte) (int, error) {
	c.reading.Store(true)
	n, err := c.Conn.Read(b)
	c.reading.Store(false)
	c.in.pass(b[:n])
	if err != nil {
		if errors.Is(err, syscall.ETIMEDOUT) { // the system's own timeout, which gRPC sets
			c.cut(keepalive)
		}
		c.left.Store(true)
	}
	return n, err
}

// Write implements net.Conn. One goroutine writes at a time.
func (c *Conn) Write(b []byte) (int, error) {
	c.out.pass(b) // first: gRPC may close it as soon as this is written
	n, err := c.Conn.Write(b)
	if err != nil {
		c.left.Store(true)
	}
	return n, err
}

// came takes note of a frame of the peer's.
func (c *Conn) came(kind http2.FrameType, length int, _ []byte) {
	switch kind {
	case http2.FrameHeaders:
		c.headers.Store(int64(length))
	case http2.FrameContinuation:
		c.headers.Add(int64(length))
	default:
		if c.headers.Load() != 0 {
			c.headers.Store(0)
		}
	}
}

// went takes note of a frame of gRPC's.
func (c *Conn) went(kind http2.FrameType, _ int, body []byte) {
	switch {
	case kind == http2.FrameGoAway && len(body) >= 8:
		c.toldToGo(http2.ErrCode(binary.BigEndian.Uint32(body[4:])), string(body[8:]))
	case kind == http2.FrameRSTStream && len(body) >= 4 && http2.ErrCode(binary.BigEndian.Uint32(body)) == http2.ErrCodeFrameSize:
		c.cut(callHeaders) // gRPC resets a stream so for nothing else
	}
}

// toldToGo takes note of gRPC's reason to have the peer go.
func (c *Conn) toldToGo(code http2.ErrCode, words string) {
	switch first := !c.told.Swap(true); {
	case code == http2.ErrCodeEnhanceYourCalm:
		c.cut(tooManyPings)
	case code != http2.ErrCodeNo:
		c.cut(malformed.with(words))
	case first && words == "max_age":
		close(c.old)
	}
}

// Close implements net.Conn. gRPC calls it whoever has ended the connection.
func (c *Conn) Close() error {
	c.closing.Do(func() {
		close(c.gone)
		if why := c.forget(); why != nil {
			c.cut(*why)
		}
	})
	return c.Conn.Close()
}

// forget takes the connection out of the table, and returns why gRPC cuts it; nil if that
// does not, or has said so before.
func (c *Conn) forget() *cause {
	t := c.table
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, c)
	c.goAway = nil
	switch headers := c.headers.Load(); {
	case c.left.Load() || c.explained.Load() || t.options.Stop.Err() != nil:
		return nil
	case c.told.Load() && c.calls > 0:
		return &tooOld
	case c.told.Load():
		return nil // it had nothing more to do here
	case c.reading.Load():
		return &keepalive
	case headers >= int64(t.options.MaxHeaders):
		return &tooLarge
	default: // by who has read it
		return &malformed
	}
}

// SyscallConn implements syscall.Conn, by which channelz shows a socket's options.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if socket, is := c.Conn.(syscall.Conn); is {
		return socket.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
