// Package sniff looks at how connections begin, at addresses to which peers come that speak
// something else.
package sniff

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// Conn is a connection of which the first bytes were not seen yet, or are nothing foreign. All
// else is the connection's own. Who reads may be one goroutine at a time.
type Conn struct {
	net.Conn
	foreign func(first []byte) bool
	seen    bool   // used by the one who reads
	kept    []byte // likewise; what Await has read and Read not yet
}

// NewConn has foreign look at the first bytes that are read: of them there is one at least.
// If it returns true, nothing is read, as if the peer had left: whoever serves it then has no
// complaint of his own.
func NewConn(conn net.Conn, foreign func(first []byte) bool) *Conn {
	return &Conn{Conn: conn, foreign: foreign}
}

// awaited is how many of the first bytes are taken at once, at the most. A connection that is
// closed with bytes left in it is reset, and the peer reads no reason: a whole greeting has to
// fit.
const awaited = 1 << 10

// Await waits until the first bytes have come, and looks at them: nothing that is sent before
// that can have the peer change what it says, or leave. The error is io.EOF where they are
// foreign.
func (c *Conn) Await() error {
	first := make([]byte, awaited)
	n, err := c.Read(first)
	c.kept = first[:n]
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if len(c.kept) > 0 {
		n := copy(b, c.kept)
		if c.kept = c.kept[n:]; len(c.kept) == 0 {
			c.kept = nil // all of it is released
		}
		return n, nil
	}
	n, err := c.Conn.Read(b)
	if c.seen || n == 0 {
		return n, err
	}
	c.seen = true
	if c.foreign(b[:n]) {
		return 0, io.EOF
	}
	return n, err
}

// SyscallConn implements syscall.Conn, by which channelz shows a socket's options.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if socket, is := c.Conn.(syscall.Conn); is {
		return socket.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// IsZMTP tells whether a connection that begins so is ZeroMQ's: with 0xff and zeroes.
// HTTP/2 begins with "PRI", a TLS record with its type, 20 to 24.
func IsZMTP(first []byte) bool {
	return first[0] == 0xff && (len(first) == 1 || first[1] == 0)
}
