package main_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
)

// secured is a gateway in a process of its own that lets in only whom it knows,
// on every front.
type secured struct {
	*program
	keys   string // the folder
	issuer *issuer
}

// serveSecured makes keys as its users would, and serves with them.
func serveSecured(t *testing.T, arguments ...string) *secured {
	t.Helper()
	s := &secured{keys: filepath.Join(t.TempDir(), "keys"), issuer: newIssuer(t)}
	s.keygen(t, "server", s.keys)
	identities := "identities:\n"
	for _, who := range []struct{ name, role, limits string }{
		{"reader", "client", "  limits: {directions: [inject], attributes: 'attributes.count <= 3', max-flows: 1}\n"},
		{"writer", "client", ""},
		{"hand", "handler", ""},
		{"other", "handler", ""},
		{"boss", "admin", ""},
	} {
		identities += s.keygen(t, "identity", s.keys, who.name, "--role="+who.role) + who.limits
	}
	s.keygen(t, "identity", s.keys, "stranger", "--role=client") // not written down
	identities += "jwt: [{issuer: '" + s.issuer.URL + "', audience: gateway, jwks: '" + s.issuer.URL + "/keys', name-prefix: 'jwt:'}]\n"
	s.write(t, identities)
	s.program = serveAt(t, []string{
		"--zmq-server=tcp://0.0.0.0:*", "--zmq-router=tcp://0.0.0.0:*", "--grpc=0.0.0.0:0", "--http=127.0.0.1:0",
	}, append([]string{
		"--default-routes", "--identities=" + s.identities(), "--zmq-curve-key=" + s.file("server.curve"),
		"--tls-cert=" + s.file("server.pem"), "--tls-key=" + s.file("server.key"), "--tls-client-ca=" + s.file("ca.pem"),
	}, arguments...), nil)
	for via, address := range s.addresses {
		s.addresses[via] = strings.Replace(address, "0.0.0.0", "127.0.0.1", 1)
	}
	return s
}

func (s *secured) file(name string) string { return filepath.Join(s.keys, name) }
func (s *secured) identities() string      { return s.file("identities.yaml") }

func (s *secured) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(s.file(name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// write puts other identities in the place of those there are, at once.
func (s *secured) write(t *testing.T, text string) {
	t.Helper()
	fresh := s.identities() + ".new"
	if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, s.identities()); err != nil {
		t.Fatal(err)
	}
}

// keygen runs `gateway keygen` and answers what it prints.
func (s *secured) keygen(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := gatewayCommand(t, patience, append([]string{"keygen"}, arguments...), nil).Output()
	if err != nil {
		t.Fatalf("keygen %v: %v\n%s", arguments, err, out)
	}
	return string(out)
}

// conn connects with that identity's certificate, unless it is empty.
func (s *secured) conn(t *testing.T, name string) *grpc.ClientConn {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	config.RootCAs.AppendCertsFromPEM([]byte(s.read(t, "ca.pem")))
	if name != "" {
		pair, err := tls.LoadX509KeyPair(s.file(name+".pem"), s.file(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	conn, err := grpc.NewClient(s.addresses[viaGRPC], grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// withToken is the context of a call that shows a bearer token, unless it is
// empty.
func withToken(t *testing.T, token string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// open begins a stream with a BOT and answers the first response.
func open(ctx context.Context, conn *grpc.ClientConn, bot *gatewayv1.Bot) (*gatewayv1.OpenResponse, error) {
	stream, err := gatewayv1.NewFlowServiceClient(conn).Open(ctx)
	if err != nil {
		return nil, err
	}
	_ = stream.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: bot}})
	for {
		response, err := stream.Recv()
		if err != nil || response.GetEot() == nil {
			return response, err
		}
	}
}

// native dials with that identity's CURVE keys.
func (s *secured) native(t *testing.T, via transportName, name string) *nativePeer {
	t.Helper()
	kind := map[transportName]native.Kind{viaClient: native.Client, viaDealer: native.Dealer}[via]
	inner, err := native.DialCurve(kind, s.addresses[via], native.CurveKeys{
		Server: s.read(t, "server.curve.pub"), Public: s.read(t, name+".curve.pub"), Secret: s.read(t, name+".curve"),
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &nativePeer{Peer: inner}
	t.Cleanup(p.leave)
	return p
}

// wantLine checks that the log has one line with these words, and no more.
func (s *secured) wantLine(t *testing.T, words ...string) {
	t.Helper()
	s.wantLines(t, 1, words...)
}

// refusals is how many lines tell at most of a native peer that is refused: with zmtp it is
// told and comes no more, with libzmq it tries again, up to the burst of such lines.
func refusals() int {
	if engine() == "libzmq" {
		return 5
	}
	return 1
}

// wantLines checks that the log has one line with these words, or more up to a number.
func (s *secured) wantLines(t *testing.T, most int, words ...string) {
	t.Helper()
	count := func() (n int) {
		for line := range strings.Lines(s.log.text()) {
			all := true
			for _, word := range words {
				all = all && strings.Contains(line, word)
			}
			if all {
				n++
			}
		}
		return n
	}
	eventually(t, "the log", func() error {
		if count() == 0 {
			return fmt.Errorf("no line has %q:\n%s", words, s.log.text())
		}
		return nil
	})
	if n := count(); n > most {
		t.Errorf("%d lines have %q, want at most %d:\n%s", n, words, most, s.log.text())
	}
}

var taking3 = &gatewayv1.Bot{Label: `{"direction":"inject","credit":2,"count":3}`}

// TestSecured: who is known does what it may, on every transport.
func TestSecured(t *testing.T) {
	s := serveSecured(t, "--tls-client-auth=optional")
	for what, c := range map[string]struct{ certificate, token string }{
		"certificate": {"writer", ""},
		"token":       {"", s.read(t, "writer.token")},
		"JWT":         {"", s.issuer.sign(t, nil)},
	} {
		if m, err := open(withToken(t, c.token), s.conn(t, c.certificate), taking3); err != nil || m.GetBot() == nil {
			t.Errorf("by %s: %v, %v", what, m, err)
		}
	}
	series := fmt.Sprintf(`zio_gateway_issuer_key_fetches_total{issuer="%s",result="ok"}`, s.issuer.URL)
	if fetched := s.scrape(t)[series]; fetched != 1 {
		t.Errorf("%s is %v, want 1", series, fetched)
	}
	for _, via := range []transportName{viaClient, viaDealer} {
		p := s.native(t, via, "writer")
		mustSend(t, p, botMessage(zio.Inject, 2, 0))
		mustRecv(t, p, zio.BOT)
	}
}

// TestStrangers: who is not let in, and that each attempt leaves one line.
func TestStrangers(t *testing.T) {
	s := serveSecured(t, "--tls-client-auth=optional")
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ certificate, token, cause string }{
		"no token":        {"", "", "no_credentials"},
		"unknown token":   {"", s.read(t, "stranger.token"), "unknown_token"},
		"expired JWT":     {"", s.issuer.sign(t, jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}), "expired_token"},
		"foreign JWT":     {"", s.issuer.signBy(t, foreign, nil), "bad_jwt"},
		"its certificate": {"stranger", "", "unknown_certificate"},
	} {
		t.Run(what, func(t *testing.T) {
			if _, err := open(withToken(t, c.token), s.conn(t, c.certificate), taking3); status.Code(err) != codes.Unauthenticated {
				t.Errorf("%v, want UNAUTHENTICATED", err)
			}
			s.wantLine(t, "access denied", "front=grpc", "cause="+c.cause)
		})
	}
	for via, front := range map[transportName]string{viaClient: "zmq-server", viaDealer: "zmq-router"} {
		t.Run("unknown key by "+string(via), func(t *testing.T) {
			p := s.native(t, via, "stranger")
			// It may see that it is refused before it has sent anything.
			sent := make(chan struct{})
			go func() { _ = p.send(botMessage(zio.Inject, 2, 0)); close(sent) }()
			s.wantLines(t, refusals(), "access denied", "front="+front, "cause=unknown_key", s.read(t, "stranger.curve.pub"))
			<-sent // after patience, if there is no connection
			if m, err := p.Receive(0); err == nil {
				t.Errorf("received %s", m.Label)
			}
		})
		t.Run("NULL by "+string(via), func(t *testing.T) {
			p := s.dial(t, via)
			// It may see that it is refused before it has sent anything.
			sent := make(chan struct{})
			go func() { _ = p.send(botMessage(zio.Inject, 2, 0)); close(sent) }()
			s.wantLines(t, refusals(), "access denied", "front="+front, "cause=no_curve")
			select {
			case <-sent:
			case <-time.After(patience):
				t.Error("the peer still tries to send")
			}
		})
	}
}

// TestNoClientCertificate: where one is required, no token helps.
func TestNoClientCertificate(t *testing.T) {
	s := serveSecured(t)
	if _, err := open(withToken(t, s.read(t, "writer.token")), s.conn(t, ""), taking3); status.Code(err) != codes.Unavailable {
		t.Errorf("%v, want no connection", err)
	}
	s.wantLine(t, "access denied", "front=grpc", "cause=no_certificate")
	if m, err := open(withToken(t, ""), s.conn(t, "writer"), taking3); err != nil || m.GetBot() == nil {
		t.Errorf("with a certificate: %v, %v", m, err)
	}
}

// TestWrongRole: who is known but may not.
func TestWrongRole(t *testing.T) {
	s := serveSecured(t, "--tls-client-auth=optional")
	listening, err := gatewayv1.NewHandlerServiceClient(s.conn(t, "writer")).Listen(withToken(t, ""), &gatewayv1.ListenRequest{Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listening.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a listener without the role: %v, want PERMISSION_DENIED", err)
	}
	s.wantLine(t, "access denied", "cause=role", "identity=writer", "handler")
	if _, err := open(withToken(t, s.read(t, "boss.token")), s.conn(t, ""), taking3); status.Code(err) != codes.PermissionDenied {
		t.Errorf("an admin as client: %v, want PERMISSION_DENIED", err)
	}
	s.wantLine(t, "access denied", "cause=role", "identity=boss", "client")
	p := s.native(t, viaClient, "hand")
	mustSend(t, p, botMessage(zio.Inject, 2, 0))
	wantEOT(t, p, flow.Rejected, "not allowed: needs the role client")
	s.wantLine(t, "BOT refused", "zmq-server hand", "cause=role")
}

// TestLimitsOfIdentity: the same limits hold for all transports together.
func TestLimitsOfIdentity(t *testing.T) {
	s := serveSecured(t, "--tls-client-auth=optional")
	p := s.native(t, viaDealer, "reader")
	mustSend(t, p, flowMessage(`{"flow":"BOT","direction":"inject","credit":2,"count":9}`))
	wantEOT(t, p, flow.Rejected, "not allowed: a flow with these attributes")
	s.wantLine(t, "BOT refused", "zmq-router reader", "cause=attributes")
	mustSend(t, p, botMessage(zio.Extract, 2, 0))
	wantEOT(t, p, flow.Rejected, "not allowed: the direction extract")
	s.wantLine(t, "BOT refused", "zmq-router reader", "cause=direction")
	mustSend(t, p, flowMessage(`{"flow":"BOT","direction":"inject","credit":2,"count":3}`))
	mustRecv(t, p, zio.BOT)
	if _, err := open(withToken(t, ""), s.conn(t, "reader"), taking3); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a second flow, over gRPC: %v, want RESOURCE_EXHAUSTED", err)
	}
	s.wantLine(t, "BOT refused", "grpc reader", "cause=flows")
}

// TestStolenCID: an offer is for the listener's own identity, on whatever
// transport, and remains so when somebody else has tried.
func TestStolenCID_BRK_6(t *testing.T) {
	s := serveSecured(t, "--tls-client-auth=optional")
	listening, err := gatewayv1.NewHandlerServiceClient(s.conn(t, "hand")).Listen(withToken(t, ""), &gatewayv1.ListenRequest{Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listening.Recv(); err != nil {
		t.Fatal(err)
	}
	client := s.native(t, viaClient, "writer")
	mustSend(t, client, botMessage(zio.Extract, 2, 0))
	event, err := listening.Recv()
	if err != nil {
		t.Fatal(err)
	}
	cid := event.GetOffer().GetCid()
	if event.GetOffer().GetPeer().GetName() != "writer" {
		t.Errorf("the offer is from %v, want writer", event.GetOffer().GetPeer())
	}
	for _, thief := range []struct{ name, line, detail string }{
		{"other", "zmq-router other", "not allowed: the cid was offered to somebody else"},
		{"writer", "zmq-router writer", "not allowed: needs the role handler"},
	} {
		p := s.native(t, viaDealer, thief.name)
		mustSend(t, p, botMessage(zio.Inject, 2, cid))
		wantEOT(t, p, flow.Rejected, thief.detail)
		s.wantLine(t, "BOT refused", thief.line, thief.detail)
	}
	hand := s.native(t, viaDealer, "hand")
	mustSend(t, hand, botMessage(zio.Inject, 2, cid))
	mustRecv(t, hand, zio.BOT)
	mustRecv(t, client, zio.BOT)
}

// TestIdentitiesReload: what is withdrawn is refused from the next BOT on, on
// connections that are there; a file that makes no sense changes nothing.
func TestIdentitiesReload(t *testing.T) {
	t.Parallel()
	s := serveSecured(t, "--tls-client-auth=optional")
	p, conn := s.native(t, viaClient, "writer"), s.conn(t, "writer")
	if _, err := open(withToken(t, ""), conn, taking3); err != nil {
		t.Fatal(err)
	}
	mustSend(t, p, flowMessage(`{"flow":"BOT","direction":"inject","credit":5,"count":3}`))
	mustRecv(t, p, zio.BOT)
	s.write(t, "identities: [{name: writer, roles: [chef]}]")
	s.log.waitFor(t, `"chef\" is no role`)
	if _, err := open(withToken(t, ""), conn, taking3); err != nil {
		t.Errorf("after a file that makes no sense: %v", err)
	}
	if code, body := s.ask(t, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "keys and certificates not reloaded since") {
		t.Errorf("after a file that makes no sense, /readyz returns %d %s", code, body)
	}
	if now := s.scrape(t); now["zio_gateway_reloads_failing"] != 1 || now[`zio_gateway_reloads_total{result="failed"}`] < 1 {
		t.Errorf("%v reloads are failing, %v have failed", now["zio_gateway_reloads_failing"], now[`zio_gateway_reloads_total{result="failed"}`])
	}
	if code, _ := s.ask(t, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz returns %d", code)
	}
	s.write(t, "")
	s.log.waitFor(t, "identities.yaml: is empty")
	s.write(t, "identities: [{name: nobody, roles: [client]}]")
	s.log.waitFor(t, "keys and certificates reloaded")
	if code, body := s.ask(t, "/readyz"); code != http.StatusOK {
		t.Errorf("with a file that makes sense, /readyz returns %d %s", code, body)
	}
	if _, err := open(withToken(t, ""), conn, taking3); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a certificate that is withdrawn: %v", err)
	}
	// The flow that was under way goes on to its end.
	mustSend(t, p, payMessage(5))
	for range 3 {
		mustRecv(t, p, zio.DAT)
	}
	mustRecv(t, p, zio.EOT)
	mustSend(t, p, eotMessage())
	mustSend(t, p, botMessage(zio.Inject, 2, 0))
	wantEOT(t, p, flow.Rejected, "not allowed")
}

// TestCurveKeyReload: another server key holds for new connections, those there are go
// on; a file that has no key changes nothing.
func TestCurveKeyReload(t *testing.T) {
	t.Parallel()
	s := serveSecured(t)
	before := s.native(t, viaClient, "writer")
	mustSend(t, before, flowMessage(`{"flow":"BOT","direction":"inject","credit":5,"count":3}`))
	mustRecv(t, before, zio.BOT)
	get := func(public string) (string, error) {
		out, err := gatewayCommand(t, patience, []string{"get", "--via=zmq-router", "--address=" + s.addresses[viaDealer],
			"--curve-server=" + s.file(public), "--curve-key=" + s.file("writer.curve")}, nil).CombinedOutput()
		return string(out), err
	}
	replace := func(text string) {
		t.Helper()
		fresh := s.file("server.curve.new")
		if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(fresh, s.file("server.curve")); err != nil {
			t.Fatal(err)
		}
	}
	replace("no key")
	s.log.waitFor(t, "zmq-curve-key: "+s.file("server.curve"))
	if out, err := get("server.curve.pub"); err != nil {
		t.Errorf("after a file without a key: %v\n%s", err, out)
	}
	s.keygen(t, "curve", s.file("next"))
	replace(s.read(t, "next"))
	if engine() == "libzmq" {
		s.log.waitFor(t, "needs a restart")
		return
	}
	s.log.waitFor(t, "zmq-curve-key: the public key is "+s.read(t, "next.pub"))
	if out, err := get("next.pub"); err != nil || !strings.Contains(out, "took 10 messages") {
		t.Errorf("with the new key: %v\n%s", err, out)
	}
	if out, err := get("server.curve.pub"); err == nil || !strings.Contains(out, "--curve-server") {
		t.Errorf("with the old key: %v\n%s", err, out)
	}
	mustSend(t, before, payMessage(5))
	for range 3 {
		mustRecv(t, before, zio.DAT)
	}
}

// TestSecurityRefused: configurations that would not be safe, or make no sense.
func TestSecurityRefused(t *testing.T) {
	t.Parallel()
	s := &secured{keys: filepath.Join(t.TempDir(), "keys")}
	s.keygen(t, "server", s.keys)
	s.write(t, "identities:\n"+s.keygen(t, "identity", s.keys, "boss", "--role=admin"))
	who, cert, key := "--identities="+s.identities(), "--tls-cert="+s.file("server.pem"), "--tls-key="+s.file("server.key")
	curve := "--zmq-curve-key=" + s.file("server.curve")
	for name, c := range map[string]struct{ arguments, words []string }{
		"token in clear text":  {[]string{"--grpc=0.0.0.0:0", who, "--insecure=grpc"}, []string{"identities", "clear text", "--tls-cert"}},
		"TLS for everybody":    {[]string{"--grpc=0.0.0.0:0", cert, key}, []string{"--grpc", "--identities"}},
		"identities alone":     {[]string{"--grpc=0.0.0.0:0", who}, []string{"--grpc", "--tls-cert"}},
		"ZeroMQ without CURVE": {[]string{"--zmq-server=tcp://0.0.0.0:*", who, cert, key}, []string{"--zmq-server", "--zmq-curve-key"}},
		"open metrics":         {[]string{"--http=0.0.0.0:0", who, cert, key, curve}, []string{"--http", "--public-http"}},
		"no key":               {[]string{cert}, []string{"--tls-cert", "--tls-key"}},
		"no certificate":       {[]string{key}, []string{"--tls-key", "--tls-cert"}},
		"CA without identity":  {[]string{cert, key, "--tls-client-ca=" + s.file("ca.pem")}, []string{"--tls-client-ca", "--identities"}},
		"CURVE for everybody":  {[]string{curve}, []string{"--zmq-curve-key", "--identities"}},
		"plain without CURVE":  {[]string{"--zmq-plain-local"}, []string{"--zmq-plain-local", "--zmq-curve-key"}},
		"key of another":       {[]string{cert, "--tls-key=" + s.file("ca.key"), who}, []string{"tls-cert", "ca.key"}},
		"no file of keys":      {[]string{"--zmq-curve-key=/nonexistent", who}, []string{"zmq-curve-key", "/nonexistent"}},
		"no CURVE key":         {[]string{"--zmq-curve-key=" + s.file("ca.pem"), who}, []string{"zmq-curve-key", "ca.pem", "40 characters"}},
		"no identities":        {[]string{"--identities=" + s.file("ca.pem")}, []string{"identities", "ca.pem"}},
		"a TLS version":        {[]string{cert, key, "--tls-min-version=1.1"}, []string{"tls-min-version"}},
	} {
		wantRefused(t, name, c.arguments, nil, c.words...)
	}
}

// TestKeygen: secrets are for their owner alone, and nothing is overwritten.
func TestKeygen(t *testing.T) {
	s := &secured{keys: filepath.Join(t.TempDir(), "keys")}
	s.keygen(t, "server", s.keys)
	s.keygen(t, "identity", s.keys, "reader", "--role=client")
	s.keygen(t, "curve", s.file("spare"))
	if public, err := native.CurvePublic(s.read(t, "spare")); err != nil || public != s.read(t, "spare.pub") {
		t.Errorf("the public key is %s (%v), the file has %s", public, err, s.read(t, "spare.pub"))
	}
	entries, err := os.ReadDir(s.keys)
	if err != nil || len(entries) != 13 {
		t.Fatalf("there are %d files (%v), want 13", len(entries), err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		public := strings.HasSuffix(entry.Name(), ".pem") || strings.HasSuffix(entry.Name(), ".pub")
		if mode := info.Mode().Perm(); !public && mode != 0o600 {
			t.Errorf("%s has mode %v", entry.Name(), mode)
		}
	}
	before := s.read(t, "server.key")
	for _, again := range [][]string{{"server", s.keys}, {"identity", s.keys, "reader", "--role=client"}, {"curve", s.file("spare")}} {
		out, err := gatewayCommand(t, patience, append([]string{"keygen"}, again...), nil).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "is there already") {
			t.Errorf("keygen %v again: %v, %s", again, err, out)
		}
	}
	if s.read(t, "server.key") != before {
		t.Error("a key was overwritten")
	}
	if out := s.keygen(t, "token"); !strings.Contains(out, "token: ") || !strings.Contains(out, "sha256: ") {
		t.Errorf("keygen token prints %s", out)
	}
}

// issuer signs JWTs and shows its key.
type issuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	keys := jwkset.NewMemoryStorage()
	if err := keys.KeyWrite(t.Context(), jwk); err != nil {
		t.Fatal(err)
	}
	text, err := keys.JSONPublic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) sign(t *testing.T, change jwt.MapClaims) string { return i.signBy(t, i.key, change) }

func (i *issuer) signBy(t *testing.T, key *ecdsa.PrivateKey, change jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": i.URL, "aud": "gateway", "sub": "alice", "roles": []string{"client"}, "exp": time.Now().Add(time.Hour).Unix(),
	}
	for name, value := range change {
		claims[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "k"
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
