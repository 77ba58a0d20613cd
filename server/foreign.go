package server

import (
	"context"
	"log/slog"
	"net"

	"google.golang.org/grpc/credentials"

	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/sniff"
)

// foreignLines bound what is logged of connections that speak something else. A
// ZeroMQ peer connects again every 100 ms, for ever; after the first lines one in ten
// seconds says how many there were.
var foreignLines = logs.Options{Burst: 5, Rate: 0.1}

// noSettings is how HTTP/2 begins, as a server says it: a SETTINGS frame, with none.
var noSettings = []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}

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
	looked := sniff.NewConn(conn, func(first []byte) bool {
		if !sniff.IsZMTP(first) {
			return false
		}
		w.foreign(conn.RemoteAddr())
		if w.Info().SecurityProtocol != "tls" {
			_, _ = conn.Write(noSettings) // which tells a peer that looks what it has come to
		}
		return true
	})
	// gRPC would send its settings at once. A ZeroMQ peer that has them before it has sent its
	// own greeting takes the gateway for a peer of the oldest version, and leaves without one.
	if err := looked.Await(); err != nil {
		return nil, nil, err
	}
	return w.TransportCredentials.ServerHandshake(looked)
}

// foreign takes note of a connection that speaks ZMTP.
func (w *sniffingCredentials) foreign(from net.Addr) {
	w.counters.foreign.WithLabelValues("zmtp").Inc()
	address := crowd.Host(from)
	w.lines.Log(context.Background(), slog.LevelWarn, "foreign_connection", logs.Of("", address), "connection refused",
		"endpoint", front, "address", address, "cause", "foreign",
		"detail", "the peer speaks ZeroMQ, this is the address for gRPC: CLIENT sockets belong at --zmq-server, DEALER sockets at --zmq-router")
}
