package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/pki"
	"github.com/zioflow/gateway/server"
)

const identities = `
identities:
- name: reader
  roles: [client]
  certificates: [cn:reader]
  tokens: [{sha256: READER}]
  limits: {directions: [inject], attributes: 'attributes.count < 5'}
- name: hand
  roles: [handler]
  tokens: [{sha256: HAND}]
- name: other
  roles: [handler]
  tokens: [{sha256: OTHER}]
- name: boss
  roles: [admin]
  tokens: [{sha256: BOSS}]
`

// guarded is a gateway that asks who somebody is, on a loopback socket.
type guarded struct {
	*front
	policy  *access.Policy
	tls     *server.TLS
	address string
	denials chan string // "cause identity" of each, as counted

	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

// Write implements io.Writer for the log.
func (g *guarded) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.Write(line)
}

func (g *guarded) logged(word string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Count(g.log.String(), word)
}

func rulesOf(t *testing.T, text string) *access.Rules {
	t.Helper()
	for _, name := range []string{"reader", "hand", "other", "boss"} {
		text = strings.ReplaceAll(text, strings.ToUpper(name), access.HashToken(name+"'s token"))
	}
	rules, err := access.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func startGuarded(t *testing.T, change func(*server.Options)) *guarded {
	t.Helper()
	g := &guarded{denials: make(chan string, 100)}
	log := slog.New(slog.NewTextHandler(g, nil))
	g.policy = access.NewPolicy(rulesOf(t, identities), log, func(_, cause, identity string) {
		g.denials <- strings.TrimSpace(cause + " " + identity)
	})
	limits := broker.DefaultOptions()
	limits.Log, limits.Denied = log, g.policy.Refused
	b, err := broker.New(limits)
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, slog.New(slog.DiscardHandler))
	if err := handlers.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	o := server.DefaultOptions(limits)
	o.Access = g.policy
	if change != nil {
		change(&o)
	}
	g.tls = o.TLS
	s := server.New(b, o)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(func() {
		b.Close(flow.Draining, "the test is over")
		handlers.Wait()
		s.Stop(ctx)
		cancel()
		g.policy.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	g.front = &front{broker: b, server: s, ctx: ctx}
	return g
}

// as answers clients on a connection of their own, with that token unless it is
// empty.
func (g *guarded) as(t *testing.T, token string, c credentials.TransportCredentials) (*front, *grpc.ClientConn) {
	t.Helper()
	if c == nil {
		c = insecure.NewCredentials()
	}
	conn, err := grpc.NewClient("passthrough:"+g.address, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ctx := g.ctx
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return &front{
		broker: g.broker, server: g.server, conn: conn, ctx: ctx,
		flows: gatewayv1.NewFlowServiceClient(conn), handlers: gatewayv1.NewHandlerServiceClient(conn),
	}, conn
}

// wantDenied checks a status, and that it was counted and logged once.
func (g *guarded) wantDenied(t *testing.T, err error, code codes.Code, reason, counted string) {
	t.Helper()
	got := status.Convert(err)
	var info *errdetails.ErrorInfo
	for _, detail := range got.Details() {
		info, _ = detail.(*errdetails.ErrorInfo)
	}
	if got.Code() != code || info.GetReason() != reason || info.GetDomain() == "" {
		t.Errorf("status %v with %v, want %v with the reason %s", err, info, code, reason)
	}
	g.wantCounted(t, counted)
}

func (g *guarded) wantCounted(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-g.denials:
		if got != want {
			t.Errorf("counted as %q, want %q", got, want)
		}
	case <-g.ctx.Done():
		t.Fatalf("nothing was counted, want %q", want)
	}
	if len(g.denials) > 0 {
		t.Errorf("counted twice: %s", <-g.denials)
	}
}

func openEnd(t *testing.T, f *front, first *gatewayv1.OpenRequest) error {
	t.Helper()
	stream, err := f.flows.Open(f.ctx)
	if err != nil { // no connection
		return err
	}
	_ = stream.Send(first) // its error is that of Recv
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

func TestWhoIsNotLetIn(t *testing.T) {
	g := startGuarded(t, nil)
	nobody, conn := g.as(t, "", nil)
	g.wantDenied(t, openEnd(t, nobody, taking(1)), codes.Unauthenticated, "NO_CREDENTIALS", "no_credentials")
	_, err := nobody.handlers.Decline(nobody.ctx, &gatewayv1.DeclineRequest{Cid: 5})
	g.wantDenied(t, err, codes.Unauthenticated, "NO_CREDENTIALS", "no_credentials")
	stranger, _ := g.as(t, "a guess", nil)
	g.wantDenied(t, openEnd(t, stranger, taking(1)), codes.Unauthenticated, "UNKNOWN_TOKEN", "unknown_token")
	basic := metadata.AppendToOutgoingContext(g.ctx, "authorization", "Basic cmVhZGVyOg==")
	_, err = nobody.handlers.Decline(basic, &gatewayv1.DeclineRequest{Cid: 5})
	g.wantDenied(t, err, codes.Unauthenticated, "NO_CREDENTIALS", "no_credentials")
	if n := g.logged("access denied"); n != 4 {
		t.Errorf("logged %d lines, want 4", n)
	}
	for range 20 {
		_, _ = nobody.handlers.Decline(nobody.ctx, &gatewayv1.DeclineRequest{Cid: 5}) // as above
	}
	if n := g.logged("access denied"); n != 6 { // 5 that look alike
		t.Errorf("logged %d lines of who keeps trying, want 6", n)
	}
	if _, err := healthpb.NewHealthClient(conn).Check(g.ctx, &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health check: %v", err)
	}
}

// TestIssuerAway: who shows a JWT whose issuer cannot be asked may try again, and is not told
// what the gateway knows of its network.
func TestIssuerAway(t *testing.T) {
	g := startGuarded(t, nil)
	g.policy.Replace(rulesOf(t, identities+`
jwt: [{issuer: 'http://127.0.0.1:1', audience: gateway, jwks: 'http://127.0.0.1:1/keys', name-prefix: 'jwt:'}]
`))
	part := base64.RawURLEncoding.EncodeToString
	caller, _ := g.as(t, part([]byte(`{"alg":"ES256","kid":"k"}`))+"."+part([]byte(`{"iss":"http://127.0.0.1:1"}`))+"."+part([]byte("signed")), nil)
	err := openEnd(t, caller, taking(1))
	wantStatus[*errdetails.RetryInfo](t, err, codes.Unavailable, "the JWT can't be verified just now: the gateway has not got its issuer's keys")
	wantStatus[*errdetails.ErrorInfo](t, err, codes.Unavailable, "")
	g.wantCounted(t, "no_issuer_keys")
	if n := g.logged("connection refused"); n == 0 {
		t.Error("the log does not say why the issuer cannot be asked")
	}
}

func TestReflection(t *testing.T) {
	for _, public := range []bool{false, true} {
		g := startGuarded(t, func(o *server.Options) { o.PublicReflection = public })
		ask := func(ctx context.Context, conn *grpc.ClientConn) error {
			stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
			if err != nil {
				t.Fatal(err)
			}
			_ = stream.Send(&reflectionpb.ServerReflectionRequest{
				MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
			})
			_, err = stream.Recv()
			return err
		}
		nobody, conn := g.as(t, "", nil)
		if err := ask(nobody.ctx, conn); public != (err == nil) || err != nil && status.Code(err) != codes.Unauthenticated {
			t.Errorf("public: %t: %v", public, err)
		}
		reader, conn := g.as(t, "reader's token", nil)
		if err := ask(reader.ctx, conn); err != nil {
			t.Errorf("with a token: %v", err)
		}
	}
}

// TestRoles: who may do what, and that the wrong role is told so.
func TestRoles(t *testing.T) {
	g := startGuarded(t, nil)
	reader, _ := g.as(t, "reader's token", nil)
	hand, _ := g.as(t, "hand's token", nil)
	boss, _ := g.as(t, "boss's token", nil)
	accepting := bot(&gatewayv1.Bot{Label: `{"direction":"inject","cid":5}`})
	g.wantDenied(t, openEnd(t, reader, accepting), codes.PermissionDenied, "ROLE", "role reader")
	g.wantDenied(t, openEnd(t, reader, bot(&gatewayv1.Bot{Direction: gatewayv1.Direction_DIRECTION_INJECT, Cid: 5})), codes.PermissionDenied, "ROLE", "role reader")
	g.wantDenied(t, openEnd(t, hand, taking(1)), codes.PermissionDenied, "ROLE", "role hand")
	g.wantDenied(t, openEnd(t, boss, taking(1)), codes.PermissionDenied, "ROLE", "role boss")
	_, err := reader.handlers.Decline(reader.ctx, &gatewayv1.DeclineRequest{Cid: 5})
	g.wantDenied(t, err, codes.PermissionDenied, "ROLE", "role reader")
	listening, err := reader.handlers.Listen(reader.ctx, &gatewayv1.ListenRequest{Name: "l"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = listening.Recv()
	g.wantDenied(t, err, codes.PermissionDenied, "ROLE", "role reader")
	get, err := hand.flows.Get(hand.ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = get.Recv()
	g.wantDenied(t, err, codes.PermissionDenied, "ROLE", "role hand")
}

// TestLimits: what the broker refuses for want of a right.
func TestLimits(t *testing.T) {
	g := startGuarded(t, nil)
	reader, _ := g.as(t, "reader's token", nil)
	stream := reader.open(t, taking(3))
	if m, err := stream.Recv(); err != nil || m.GetBot() == nil {
		t.Fatalf("a flow that is allowed: %v, %v", m, err)
	}
	if client := g.broker.Flows()[0].Client; client.Name != "reader" {
		t.Errorf("the flow's client is %+v", client)
	}
	for what, c := range map[string]struct {
		first   *gatewayv1.OpenRequest
		counted string
	}{
		"direction":  {giving(1), "direction reader"},
		"attributes": {taking(9), "attributes reader"},
	} {
		err := openEnd(t, reader, c.first)
		g.wantCounted(t, c.counted)
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "not allowed: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := g.logged("BOT refused"); n != 2 {
		t.Errorf("logged %d lines, want 2", n)
	}
	g.policy.Replace(rulesOf(t, strings.Replace(identities, "count < 5", "count > 5", 1)))
	if m, err := reader.open(t, taking(9)).Recv(); err != nil || m.GetBot() == nil {
		t.Errorf("with other limits: %v, %v", m, err)
	}
}

// TestOffersAreBound: what was offered to a listener is neither accepted nor
// declined by another one, and remains the listener's.
func TestOffersAreBound(t *testing.T) {
	g := startGuarded(t, nil)
	reader, _ := g.as(t, "reader's token", nil)
	hand, _ := g.as(t, "hand's token", nil)
	other, _ := g.as(t, "other's token", nil)
	listening, err := hand.handlers.Listen(hand.ctx, &gatewayv1.ListenRequest{Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listening.Recv(); err != nil {
		t.Fatal(err)
	}
	client := reader.open(t, taking(3))
	event, err := listening.Recv()
	if err != nil {
		t.Fatal(err)
	}
	cid := event.GetOffer().GetCid()
	accept := bot(&gatewayv1.Bot{Direction: gatewayv1.Direction_DIRECTION_EXTRACT, Credit: 1, Cid: cid})
	err = openEnd(t, other, accept)
	g.wantCounted(t, "cid other")
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("another handler accepts: %v", err)
	}
	_, err = other.handlers.Decline(other.ctx, &gatewayv1.DeclineRequest{Cid: cid})
	g.wantDenied(t, err, codes.PermissionDenied, "CID", "cid other")
	if m, err := hand.open(t, accept).Recv(); err != nil || m.GetBot() == nil {
		t.Errorf("the listener accepts: %v, %v", m, err)
	}
	if m, err := client.Recv(); err != nil || m.GetBot() == nil {
		t.Errorf("the client: %v, %v", m, err)
	}
}

// TestANameIsItsIdentitys: nobody joins the listeners of another identity.
func TestANameIsItsIdentitys(t *testing.T) {
	g := startGuarded(t, nil)
	hand, _ := g.as(t, "hand's token", nil)
	other, _ := g.as(t, "other's token", nil)
	listen := func(f *front) error {
		stream, err := f.handlers.Listen(f.ctx, &gatewayv1.ListenRequest{Name: "archive"})
		if err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	for range 2 {
		if err := listen(hand); err != nil {
			t.Fatal(err)
		}
	}
	g.wantDenied(t, listen(other), codes.PermissionDenied, "NAME", "name other")
	if n := len(g.broker.Listeners()); n != 2 {
		t.Errorf("%d listeners are registered", n)
	}
}

// secrets is a folder with certificates.
type secrets struct {
	dir string
	ca  *pki.CA
}

func newSecrets(t *testing.T) *secrets {
	t.Helper()
	ca, err := pki.NewCA("test CA", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s := &secrets{t.TempDir(), ca}
	s.write(t, "ca.pem", ca.Certificate)
	s.newServer(t)
	return s
}

func (s *secrets) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *secrets) newServer(t *testing.T) {
	t.Helper()
	pair, err := s.ca.Server([]string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "server.pem", pair.Certificate)
	s.write(t, "server.key", pair.Key)
}

func (s *secrets) files() server.TLSFiles {
	return server.TLSFiles{
		Certificate: filepath.Join(s.dir, "server.pem"), Key: filepath.Join(s.dir, "server.key"),
		ClientCA: filepath.Join(s.dir, "ca.pem"), MinVersion: tls.VersionTLS12,
	}
}

func (s *secrets) load(t *testing.T) *tls.Config {
	t.Helper()
	config, err := s.files().Load()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// client is the credentials of a client by that authority, with a certificate of
// that name unless it is empty.
func (s *secrets) client(t *testing.T, by *pki.CA, name string) credentials.TransportCredentials {
	t.Helper()
	config := &tls.Config{RootCAs: s.ca.Pool(), ServerName: "127.0.0.1"}
	if name != "" {
		pair, err := by.Client(name, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := pair.TLS()
		if err != nil {
			t.Fatal(err)
		}
		// Also where the server names no authority that has signed it.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	return credentials.NewTLS(config)
}

func TestMutualTLS(t *testing.T) {
	s := newSecrets(t)
	g := startGuarded(t, func(o *server.Options) { o.TLS = server.NewTLS(s.load(t)) })
	reader, _ := g.as(t, "", s.client(t, s.ca, "reader"))
	if m, err := reader.open(t, taking(1)).Recv(); err != nil || m.GetBot() == nil {
		t.Errorf("by certificate: %v, %v", m, err)
	}
	unknown, _ := g.as(t, "", s.client(t, s.ca, "unknown"))
	g.wantDenied(t, openEnd(t, unknown, taking(1)), codes.Unauthenticated, "UNKNOWN_CERTIFICATE", "unknown_certificate")
	foreign, err := pki.NewCA("foreign CA", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for counted, c := range map[string]credentials.TransportCredentials{
		"no_certificate":  s.client(t, s.ca, ""),
		"bad_certificate": s.client(t, foreign, "reader"),
		"handshake":       insecure.NewCredentials(),
	} {
		client, conn := g.as(t, "reader's token", c) // no token helps
		err := openEnd(t, client, taking(1))
		_ = conn.Close() // does not try again
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", counted, err)
		}
		select {
		case got := <-g.denials:
			if got != counted {
				t.Errorf("counted %s, want %s", got, counted)
			}
		case <-g.ctx.Done():
			t.Fatalf("%s was not counted", counted)
		}
		if n := g.logged("cause=" + counted); n != 1 {
			t.Errorf("%s was logged %d times", counted, n)
		}
		for len(g.denials) > 0 {
			<-g.denials
		}
	}
}

// TestTLSReload: a new certificate and another client CA hold for connections
// made from then on; broken files change nothing.
func TestTLSReload(t *testing.T) {
	s := newSecrets(t)
	g := startGuarded(t, func(o *server.Options) { o.TLS = server.NewTLS(s.load(t)) })
	mine := s.client(t, s.ca, "reader")
	before, _ := g.as(t, "", mine)
	if _, err := before.open(t, taking(1)).Recv(); err != nil {
		t.Fatal(err)
	}
	s.write(t, "server.key", []byte("cut"))
	if _, err := s.files().Load(); err == nil || !strings.Contains(err.Error(), "server.key") {
		t.Errorf("a broken key: %v", err)
	}
	s.newServer(t)
	other, err := pki.NewCA("other CA", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "ca.pem", []byte("cut"))
	if _, err := s.files().Load(); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("a broken CA: %v", err)
	}
	s.write(t, "ca.pem", other.Certificate)
	g.tls.Replace(s.load(t))
	if _, err := before.open(t, taking(1)).Recv(); err != nil {
		t.Errorf("on the old connection: %v", err)
	}
	after, _ := g.as(t, "", s.client(t, other, "reader"))
	if _, err := after.open(t, taking(1)).Recv(); err != nil {
		t.Errorf("by the new CA: %v", err)
	}
	late, _ := g.as(t, "", mine)
	if err := openEnd(t, late, taking(1)); status.Code(err) != codes.Unavailable {
		t.Errorf("by the old CA: %v", err)
	}
}
