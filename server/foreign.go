package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"syscall"

	"google.golang.org/grpc/credentials"

	"github.com/zioflow/gateway/internal/logs"
)

// foreignLines bound what is logged of connections that speak something else. A
// ZeroMQ peer connects again every 100 ms, for ever; after the first lines one in ten
// seconds says how many there were.
var foreignLines = logs.Options{Burst: 5, Rate: 0.1}

// sniffingCredentials are credentials that look at how a connection begins, before those that
// they wrap do. A ZeroMQ peer, which would wait for a greeting that never comes, is
// disconnected at once, and a line logged.
//
// They are credentials and no listener, so that gRPC goes on setting the options of
// the socket itself.
type sniffingCredentials struct {
	credentials.TransportCredentials
	lines    *logs.Sampler
	counters *counters
}

// Clone implements credentials.TransportCredentials.
func (w *sniffingCredentials) Clone() credentials.TransportCredentials {
	return &sniffingCredentials{w.TransportCredentials.Clone(), w.lines, w.counters}
}

// ServerHandshake implements credentials.TransportCredentials.
func (w *sniffingCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return w.TransportCredentials.ServerHandshake(&watchedConn{Conn: conn, foreign: w.foreign})
}

// foreign takes note of a connection that speaks ZMTP.
func (w *sniffingCredentials) foreign(from net.Addr) {
	w.counters.foreign.WithLabelValues("zmtp").Inc()
	address := host(from)
	w.lines.Log(context.Background(), slog.LevelWarn, "foreign_connection", logs.Of("", address), "connection refused",
		"endpoint", front, "address", address, "cause", "foreign",
		"detail", "the peer speaks ZeroMQ, this is the address for gRPC: CLIENT sockets belong at --zmq-server, DEALER sockets at --zmq-router")
}

// watchedConn is a connection of which the first bytes were not seen yet, or are none
// that ZeroMQ begins with. All else is the connection's own.
type watchedConn struct {
	net.Conn
	foreign func(net.Addr)
	seen    bool // used by the one who reads
}

// Read implements net.Conn.
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.seen || n == 0 {
		return n, err
	}
	c.seen = true
	if isZMTP(b[:n]) {
		c.foreign(c.RemoteAddr())
		return 0, io.EOF // as if it had left: nobody else has to complain
	}
	return n, err
}

// isZMTP tells whether a connection that begins so is ZeroMQ's: with 0xff and zeroes.
// HTTP/2 begins with "PRI", a TLS record with its type, 20 to 24.
func isZMTP(first []byte) bool {
	return first[0] == 0xff && (len(first) == 1 || first[1] == 0)
}

// SyscallConn implements syscall.Conn, by which channelz shows a socket's options.
func (c *watchedConn) SyscallConn() (syscall.RawConn, error) {
	if socket, is := c.Conn.(syscall.Conn); is {
		return socket.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
