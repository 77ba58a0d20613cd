package dial_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/zioflow/gateway/internal/pki"
	"github.com/zioflow/gateway/zmqbridge/dial"
	"github.com/zioflow/gateway/zmtp"
)

// TestRefusals: why there is no connection is said in words that help, at once or
// after the handshake's time.
func TestRefusals(t *testing.T) {
	t.Parallel()
	plain := startGateway(t, nil)
	k := newKeys()
	secure := startGateway(t, k.guard(t))
	stranger := k.client
	stranger.Server = k.other.Public
	stale := filepath.Join(t.TempDir(), "stale")
	leaveStale(t, stale)
	for _, test := range []struct {
		name    string
		address string
		kind    zmtp.SocketType
		curve   *zmtp.CurveKeys
		cause   dial.Cause
		words   string
	}{
		{"nobody listens", "tcp://" + closedPort(t), zmtp.Client, nil, dial.Unreachable, "connection refused"},
		{"no such path", "ipc://" + stale + "-not", zmtp.Client, nil, dial.Unreachable, "no such file"},
		{"a path that is left over", "ipc://" + stale, zmtp.Dealer, nil, dial.Unreachable, "connection refused"},
		{"no such host", "tcp://nowhere.invalid:5555", zmtp.Client, nil, dial.Unreachable, "host"},
		{"gRPC", "tcp://" + serveGRPC(t), zmtp.Client, nil, dial.Foreign, "HTTP/2, as gRPC has it"},
		{"gRPC over TLS", "tcp://" + serveGRPC(t, grpc.Creds(credentials.NewTLS(certificate(t)))), zmtp.Client, nil, dial.Left, "may not speak ZeroMQ"},
		{"HTTP", "tcp://" + serveHTTP(t), zmtp.Dealer, nil, dial.Slow, "may not speak ZeroMQ"},
		{"SSH", "tcp://" + serveBanner(t, "SSH-2.0-OpenSSH_9.2\r\n"), zmtp.Dealer, nil, dial.Foreign, "but SSH"},
		{"something else", "tcp://" + serveBanner(t, "220 mail.example.org"), zmtp.Dealer, nil, dial.Foreign, `begins with "220 mail`},
		{"one that closes", "tcp://" + serveBanner(t, ""), zmtp.Client, nil, dial.Left, "take no further connection"},
		{"a CLIENT to a ROUTER", plain.Routers()[0], zmtp.Client, nil, dial.Refused, "Invalid socket type"},
		{"a DEALER to a SERVER", plain.Servers()[0], zmtp.Dealer, nil, dial.Refused, "Invalid socket type"},
		{"NULL to CURVE", secure.Servers()[0], zmtp.Client, nil, dial.Mechanism, `asks for "CURVE", this end for NULL`},
		{"CURVE to NULL", plain.Servers()[0], zmtp.Client, &k.client, dial.Mechanism, `asks for "NULL", this end for CURVE`},
		{"another server's key", secure.Servers()[0], zmtp.Client, &stranger, dial.Refused, "Invalid key"},
		{"a key that is not known", secure.Routers()[0], zmtp.Dealer, &k.other, dial.Refused, "key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := dial.DefaultOptions(test.address, test.kind)
			o.Curve, o.Handshake = test.curve, patience/4
			if test.cause == dial.Slow {
				o.Handshake = 500 * time.Millisecond
			}
			begin := time.Now()
			c, err := dial.Dial(t.Context(), o)
			if err == nil {
				t.Fatal(errors.Join(errors.New("connected"), c.Close(0)))
			}
			if took := time.Since(begin); took > patience/2 {
				t.Errorf("it took %v to know", took)
			}
			fault, ok := errors.AsType[*dial.Error](err)
			if !ok || fault.Cause != test.cause || !strings.Contains(err.Error(), test.words) || !strings.Contains(err.Error(), test.address) {
				t.Errorf("%v, want %s, %q", err, test.cause, test.words)
			}
		})
	}
}

// closedPort is one on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l := listen(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// leaveStale leaves a socket's path behind, as a process does that is killed.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
}

func serveGRPC(t *testing.T, options ...grpc.ServerOption) string {
	t.Helper()
	l := listen(t)
	s := grpc.NewServer(options...)
	done := make(chan struct{})
	go func() { _ = s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

func certificate(t *testing.T) *tls.Config {
	t.Helper()
	ca, err := pki.NewCA("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server([]string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{loaded}, MinVersion: tls.VersionTLS13}
}

func serveHTTP(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// serveBanner sends a text to whoever connects, and closes.
func serveBanner(t *testing.T, text string) string {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(text))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}
