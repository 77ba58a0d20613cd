package front

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/sniff"
)

// foreign takes note of connections at the HTTP address that speak something else: of them
// nothing else would be seen here. It may be used concurrently.
type foreign struct{ lines *logs.Sampler }

// newForeign logs a few lines, then one in ten seconds, as peers come again for ever.
func newForeign(log *slog.Logger) *foreign {
	return &foreign{logs.NewSampler(log, logs.Options{Burst: 5, Rate: 0.1})}
}

// beginnings are of protocols that have other addresses here, by the first bytes.
var beginnings = []struct {
	is     func(first []byte) bool
	detail string
}{
	{sniff.IsZMTP, "the peer speaks ZeroMQ, this is the address for HTTP: CLIENT sockets belong at --zmq-server, DEALER sockets at --zmq-router"},
	{beginsWith("PRI * HTTP/2"), "the peer speaks HTTP/2, as gRPC does, this is the address for HTTP: gRPC belongs at --grpc"},
	{beginsWith("\x16\x03"), "the peer speaks TLS, this is the address for HTTP, which is not encrypted: gRPC belongs at --grpc"},
}

func beginsWith(prefix string) func([]byte) bool {
	return func(first []byte) bool { return bytes.HasPrefix(first, []byte(prefix)) }
}

// look logs a connection that begins as one of them, and ends one of ZeroMQ's, which would
// wait for a greeting. HTTP/2 and TLS are told by HTTP's server that they are wrong here.
func (f *foreign) look(first []byte, conn net.Conn) (ends bool) {
	for _, b := range beginnings {
		if !b.is(first) {
			continue
		}
		address := conn.RemoteAddr().String()
		if host, _, err := net.SplitHostPort(address); err == nil && conn.RemoteAddr().Network() != "unix" {
			address = host
		}
		f.lines.Log(context.Background(), slog.LevelWarn, "foreign_connection", logs.Of("", crowd.Host(conn.RemoteAddr())), "connection refused",
			"endpoint", config.HTTPTransport, "address", address, "cause", "foreign", "detail", b.detail)
		break
	}
	if !sniff.IsZMTP(first) {
		return false
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") // so that it sees what this is
	return true
}

// sniffingListener looks at how its connections begin.
type sniffingListener struct {
	net.Listener
	foreign *foreign
}

// Accept implements net.Listener.
func (l sniffingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return sniff.NewConn(c, func(first []byte) bool { return l.foreign.look(first, c) }), nil
}
