package front

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/internal/logs"
)

// foreign takes note of connections at the HTTP address that speak something else: of them
// nothing else would be seen here. It may be used concurrently.
type foreign struct{ lines *logs.Sampler }

// newForeign logs a few lines, then one in ten seconds, as peers come again for ever.
func newForeign(log *slog.Logger) *foreign {
	return &foreign{logs.NewSampler(log, logs.Options{Burst: 5, Rate: 0.1})}
}

// beginnings are of protocols that have other addresses here, by the first bytes.
var beginnings = []struct{ bytes, detail string }{
	{"\xff\x00", "the peer speaks ZeroMQ, this is the address for HTTP: CLIENT sockets belong at --zmq-server, DEALER sockets at --zmq-router"},
	{"PRI * HTTP/2", "the peer speaks HTTP/2, as gRPC does, this is the address for HTTP: gRPC belongs at --grpc"},
	{"\x16\x03", "the peer speaks TLS, this is the address for HTTP, which is not encrypted: gRPC belongs at --grpc"},
}

// look says whether a connection begins as one of them, and logs it.
func (f *foreign) look(first []byte, from net.Addr) bool {
	for _, b := range beginnings {
		if strings.HasPrefix(string(first), b.bytes) {
			address, _, _ := net.SplitHostPort(from.String())
			f.lines.Log(context.Background(), slog.LevelWarn, "foreign_connection", logs.Of("", address), "connection refused",
				"endpoint", config.HTTPTransport, "address", address, "cause", "foreign", "detail", b.detail)
			return true
		}
	}
	return false
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
	return &sniffed{Conn: c, foreign: l.foreign}, nil
}

// sniffed is a connection whose first bytes were not seen yet, or are none of a protocol
// that is foreign.
type sniffed struct {
	net.Conn
	foreign *foreign
	seen    bool // used by the one who reads
}

// Read implements net.Conn. What is foreign ends: a ZeroMQ peer would wait for a greeting.
// HTTP/2 and TLS are told by HTTP's server that they are wrong here.
func (c *sniffed) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.seen || n == 0 {
		return n, err
	}
	c.seen = true
	if c.foreign.look(b[:n], c.RemoteAddr()) && b[0] == 0xff {
		_, _ = io.WriteString(c.Conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") // so that it sees what this is
		return 0, io.EOF
	}
	return n, err
}
