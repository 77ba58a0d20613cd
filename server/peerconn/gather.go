package peerconn

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
)

// gathering are credentials of whose connections all records of one Write go into the network
// together: crypto/tls writes each by itself, and none holds more than 16 KiB.
type gathering struct {
	credentials.TransportCredentials
}

// ClientHandshake implements credentials.TransportCredentials.
func (g gathering) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	below := &gatherer{Conn: conn}
	encrypted, info, err := g.TransportCredentials.ClientHandshake(ctx, authority, below)
	if err != nil {
		return nil, nil, err
	}
	return &encryptedConn{Conn: encrypted, below: below}, info, nil
}

// ServerHandshake implements credentials.TransportCredentials.
func (g gathering) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	below := &gatherer{Conn: conn}
	encrypted, info, err := g.TransportCredentials.ServerHandshake(below)
	if err != nil {
		return nil, nil, err
	}
	return &encryptedConn{Conn: encrypted, below: below}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (g gathering) Clone() credentials.TransportCredentials {
	return gathering{g.TransportCredentials.Clone()}
}

// encryptedConn is a TLS connection over a gatherer.
type encryptedConn struct {
	net.Conn
	below   *gatherer
	writing atomic.Bool // somebody is in Write
}

// Write implements net.Conn. One goroutine writes at a time.
func (c *encryptedConn) Write(b []byte) (int, error) {
	c.writing.Store(true)
	defer c.writing.Store(false)
	c.below.hold()
	n, err := c.Conn.Write(b)
	if unwritten := c.below.release(); err == nil && unwritten != nil {
		return 0, unwritten
	}
	return n, err
}

// Close implements net.Conn. Like that of crypto/tls it does not wait for a Write that does
// not get on, and breaks it off; otherwise it tells the peer that this is the end.
func (c *encryptedConn) Close() error {
	if c.writing.Load() {
		_ = c.below.Close()
	}
	return c.Conn.Close()
}

// gatherer is the connection below TLS. While it holds, what is written is gathered.
// Its methods may be called concurrently: the reader of a TLS connection writes at times.
type gatherer struct {
	net.Conn

	mu     sync.Mutex
	buffer *room // guarded by mu; nil unless it holds
	n      int   // guarded by mu; bytes in buffer
	broken error // guarded by mu; why nothing is written any more: the last record is not whole
}

// room has place for the records of a batch, with their heads and tags.
type room [batch + 1<<10]byte

var rooms = sync.Pool{New: func() any { return new(room) }}

// hold begins to gather.
func (g *gatherer) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.buffer = rooms.Get().(*room)
}

// release ends that, and writes what was gathered.
func (g *gatherer) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.flush()
	rooms.Put(g.buffer)
	g.buffer = nil
	return err
}

// Write implements net.Conn.
func (g *gatherer) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n+len(b) > len(room{}) {
		if err := g.flush(); err != nil {
			return 0, err
		}
	}
	if g.buffer == nil || len(b) > len(room{}) {
		return g.write(b)
	}
	g.n += copy(g.buffer[g.n:], b)
	return len(b), nil
}

// flush writes what there is. mu is held: it goes out in its order.
func (g *gatherer) flush() error {
	if g.n == 0 {
		return g.broken
	}
	b := g.buffer[:g.n]
	g.n = 0
	_, err := g.write(b)
	return err
}

// write writes into the network. mu is held.
func (g *gatherer) write(b []byte) (n int, err error) {
	if g.broken == nil {
		n, g.broken = g.Conn.Write(b)
	}
	return n, g.broken
}
