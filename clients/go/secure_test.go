package zioflow_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/internal/pki"
	"github.com/zioflow/gateway/server"
)

// secured starts a gateway on TLS that knows one token and one certificate.
func secured(t *testing.T) (address string, ca *pki.CA) {
	t.Helper()
	ca, err := pki.NewCA("test CA", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := access.Parse([]byte("identities: [{name: alice, roles: [client], certificates: ['cn:alice'], tokens: [{sha256: " +
		access.HashToken("secret") + "}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, slog.New(slog.DiscardHandler))
	if err := handlers.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	o := server.DefaultOptions(b.Options())
	o.Access = access.NewPolicy(rules, nil, nil)
	o.TLS = server.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{certificate(t, must(ca.Server([]string{"127.0.0.1"}, time.Hour)))},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: ca.Pool(),
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
	})
	s := server.New(b, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := background(func() error { return s.Serve(l) })
	t.Cleanup(func() {
		b.Close(flow.Draining, "the test is over")
		handlers.Wait()
		s.Stop(context.Background())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), ca
}

func certificate(t *testing.T, pair pki.Pair) tls.Certificate {
	t.Helper()
	c, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// TestSecured: a token, its source, or a certificate lets in; nothing else does.
func TestSecured(t *testing.T) {
	address, ca := secured(t)
	trust := &tls.Config{RootCAs: ca.Pool()}
	shown := &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{certificate(t, must(ca.Client("alice", time.Hour)))}}
	errRenew := errors.New("the token can't be renewed")
	source := func(text string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return text, err }
	}
	for name, tt := range map[string]struct {
		options []zioflow.DialOption
		want    codes.Code
	}{
		"token":         {[]zioflow.DialOption{zioflow.WithTLS(trust), zioflow.WithToken("secret")}, codes.OK},
		"token source":  {[]zioflow.DialOption{zioflow.WithTLS(trust), zioflow.WithTokenSource(source("secret", nil))}, codes.OK},
		"certificate":   {[]zioflow.DialOption{zioflow.WithTLS(shown)}, codes.OK},
		"as in a file":  {[]zioflow.DialOption{zioflow.WithTLS(trust), zioflow.WithToken("secret\n")}, codes.OK},
		"wrong token":   {[]zioflow.DialOption{zioflow.WithTLS(trust), zioflow.WithToken("other")}, codes.Unauthenticated},
		"no token":      {[]zioflow.DialOption{zioflow.WithTLS(trust)}, codes.Unauthenticated},
		"broken source": {[]zioflow.DialOption{zioflow.WithTLS(trust), zioflow.WithTokenSource(source("", errRenew))}, codes.Unauthenticated},
		"no TLS":        {nil, codes.Unavailable},
		"no trust":      {[]zioflow.DialOption{zioflow.WithTLS(&tls.Config{}), zioflow.WithToken("secret")}, codes.Unavailable},
	} {
		g, err := zioflow.Dial(address, tt.options...)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, err = range g.GetAll(t.Context(), zioflow.Bot{Attributes: map[string]any{"count": 3}}) {
			if err != nil {
				break
			}
			got++
		}
		if code := status.Code(err); code != tt.want || (got == 3) != (tt.want == codes.OK) {
			t.Errorf("%s: %d DATs, then %v, want %v", name, got, err, tt.want)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTokenInClearText: a token leaves the machine only encrypted.
func TestTokenInClearText(t *testing.T) {
	for target, want := range map[string]bool{
		"127.0.0.1:7575": true, "localhost:7575": true, "[::1]:7575": true, "dns:///localhost:7575": true, "unix:/run/zio": true,
		"192.0.2.1:7575": false, "gateway.example.org:7575": false, "dns:///gateway.example.org:7575": false, "passthrough:///elsewhere:1": false,
	} {
		g, err := zioflow.Dial(target, zioflow.WithToken("secret"))
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "clear text") {
			t.Errorf("%s: %v, want it taken: %t", target, err, want)
		}
		if g != nil {
			_ = g.Close()
		}
		if g, err = zioflow.Dial(target, zioflow.WithToken("secret"), zioflow.WithTLS(&tls.Config{})); err != nil {
			t.Errorf("%s with TLS: %v", target, err)
		} else {
			_ = g.Close()
		}
	}
}
