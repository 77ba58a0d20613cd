package server_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zioflow/gateway/server"
)

// zmtpGreeting is what libzmq sends first: the signature of a greeting.
const zmtpGreeting = "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"

// greet connects, says that much in pieces, and wants to be cut off.
func (g *guarded) greet(t *testing.T, pieces ...string) {
	t.Helper()
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // gRPC itself would take ten
	for _, piece := range pieces {
		_, _ = conn.Write([]byte(piece)) // may be cut off meanwhile
	}
	answer, err := io.ReadAll(conn)
	if errors.Is(err, io.EOF) || err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("%q was answered %q, %v, want the end", pieces, answer, err)
	}
	if strings.HasPrefix(pieces[0], zmtpGreeting[:1]) && err == nil && len(answer) > 0 && string(answer) != "\x00\x00\x00\x04\x00\x00\x00\x00\x00" {
		t.Errorf("%q was answered %q, want that this is HTTP/2, and no more", pieces, answer)
	}
}

// TestZeroMQPeerAtTheGRPCAddress: it is cut off, counted, and the operator told where
// it belongs, but not each time that it tries again.
func TestZeroMQPeerAtTheGRPCAddress(t *testing.T) {
	t.Parallel()
	s := newSecrets(t)
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS": s.load(t)} {
		t.Run(name, func(t *testing.T) {
			log, registry := newLines(), prometheus.NewPedanticRegistry()
			g := startGuarded(t, func(o *server.Options) {
				o.Log, o.Registry = log.logger(), registry
				if config != nil {
					o.TLS = server.NewTLS(config)
				}
			})
			if n := metric(t, registry, "zio_gateway_grpc_foreign_connections_total"); n != 0 {
				t.Errorf("%v connections were counted before the first", n)
			}
			g.greet(t, zmtpGreeting)
			g.greet(t, "\xff")
			line := log.await(g.ctx, t, "connection refused")
			if line["level"] != "WARN" || line["endpoint"] != "grpc" || line["address"] != "127.0.0.1" || line["cause"] != "foreign" ||
				!strings.Contains(line["detail"].(string), "--zmq-server") {
				t.Errorf("logged %v", line)
			}
			const more = 20
			for range more {
				g.greet(t, zmtpGreeting)
			}
			if n := metric(t, registry, "zio_gateway_grpc_foreign_connections_total"); n != 2+more {
				t.Errorf("%v connections were counted, want %d", n, 2+more)
			}
			if n := log.count("connection refused"); n < 2 || n > 6 {
				t.Errorf("logged %d lines", n)
			}
			if len(g.denials) > 0 {
				t.Errorf("it is also taken for somebody without proof: %s", <-g.denials)
			}
		})
	}
}

// TestOthersAtTheGRPCAddress: what begins otherwise is not called ZeroMQ.
func TestOthersAtTheGRPCAddress(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	g := startGuarded(t, func(o *server.Options) { o.Registry = registry })
	for _, first := range []string{"\xff\x01\x00", "GET / HTTP/1.1\r\n\r\n_________", "\x16\x03\x01_____________________", zmtpGreeting[1:] + "______________"} {
		conn, err := net.Dial("tcp", g.address)
		if err == nil {
			_, err = conn.Write([]byte(first))
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
		_, _ = io.ReadAll(conn) // to the end
		_ = conn.Close()
	}
	reader, _ := g.as(t, "reader's token", nil)
	if m, err := reader.open(t, taking(1)).Recv(); err != nil || m.GetBot() == nil {
		t.Errorf("a gRPC client got %v, %v", m, err)
	}
	if n := metric(t, registry, "zio_gateway_grpc_foreign_connections_total"); n != 0 {
		t.Errorf("%v connections were counted, want none", n)
	}
}
