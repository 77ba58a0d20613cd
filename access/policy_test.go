package access_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker/matching"
)

func parse(t *testing.T, text string) *access.Rules {
	t.Helper()
	rules, err := access.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func policy(t *testing.T, text string) *access.Policy {
	t.Helper()
	p := access.NewPolicy(parse(t, text), nil, nil)
	t.Cleanup(p.Close)
	return p
}

func key(t *testing.T, text string) access.CurveKey {
	t.Helper()
	key, err := access.ParseCurveKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// wantDenial checks why somebody was not let in.
func wantDenial(t *testing.T, what string, err error, want access.Cause) {
	t.Helper()
	if denial, ok := errors.AsType[*access.Denial](err); !ok || denial.Cause != want || denial.Detail == "" {
		t.Errorf("%s: %v, want %s with a detail", what, err, want)
	}
}

const reader = `
identities:
- name: reader
  roles: [client]
  curve-keys: ["` + keyOne + `"]
  certificates: [dns:reader.example.org]
  tokens: [{sha256: HASH}]
  limits: {max-flows: 3, directions: [inject], attributes: 'attributes.stream == "raw"'}
- name: writer
  roles: [client, handler]
  certificates: [DNS:Writer.example.org, "spiffe://example.org/writer"]
- name: alice
  roles: [client]
  certificates: ["cn:Alice S.", alice@example.org]
`

func withToken(text, token string) string {
	return strings.ReplaceAll(text, "HASH", access.HashToken(token))
}

func TestWho(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p := policy(t, withToken(reader, "secret"))
	byKey, err := p.Key(key(t, keyOne))
	if err != nil || byKey.Name() != "reader" {
		t.Fatalf("by key: %v, %v", byKey, err)
	}
	byToken, err := p.Token(ctx, "secret")
	if err != nil || byToken.Name() != "reader" {
		t.Fatalf("by token: %v, %v", byToken, err)
	}
	_, err = p.Key(key(t, keyTwo))
	wantDenial(t, "another key", err, access.UnknownKey)
	for _, wrong := range []string{"", "Secret", "secret ", access.HashToken("secret"), "a.b.c"} {
		_, err = p.Token(ctx, wrong)
		wantDenial(t, "token "+wrong, err, access.UnknownToken)
	}

	rights := byKey.Rights()
	if !rights.Client || rights.Handler || rights.Extract || !rights.Inject || rights.MaxFlows != 3 {
		t.Errorf("rights are %+v", rights)
	}
	for label, want := range map[string]bool{`{"stream":"raw"}`: true, `{"stream":"cooked"}`: false, `{}`: false} {
		if got := rights.Match.Match(&matching.View{Label: []byte(label)}); got != want {
			t.Errorf("%s: %t, want %t", label, got, want)
		}
	}
	if err := byKey.Need(access.Handler, access.Client); err != nil {
		t.Errorf("handler or client: %v", err)
	}
	if denial := byKey.Need(access.Handler, access.Admin); denial == nil || denial.Cause != access.WrongRole || denial.Identity != "reader" {
		t.Errorf("handler or admin: %v", denial)
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	p := policy(t, withToken(reader, "secret"))
	spiffe, _ := url.Parse("spiffe://example.org/writer")
	for what, c := range map[string]struct {
		certificate x509.Certificate
		want        string
	}{
		"common name":        {x509.Certificate{Subject: pkix.Name{CommonName: "Alice S."}}, "alice"},
		"DNS name":           {x509.Certificate{DNSNames: []string{"other", "reader.example.org"}}, "reader"},
		"in capitals":        {x509.Certificate{DNSNames: []string{"READER.example.org"}}, "reader"},
		"URI":                {x509.Certificate{URIs: []*url.URL{spiffe}}, "writer"},
		"email":              {x509.Certificate{EmailAddresses: []string{"alice@example.org"}}, "alice"},
		"two of one":         {x509.Certificate{DNSNames: []string{"writer.example.org"}, URIs: []*url.URL{spiffe}}, "writer"},
		"two of two":         {x509.Certificate{DNSNames: []string{"writer.example.org", "reader.example.org"}}, ""},
		"no name":            {x509.Certificate{}, ""},
		"a longer name":      {x509.Certificate{DNSNames: []string{"x.reader.example.org"}}, ""},
		"an identity's":      {x509.Certificate{Subject: pkix.Name{CommonName: "reader"}}, ""},
		"the order's ca":     {x509.Certificate{Subject: pkix.Name{Organization: []string{"reader.example.org"}}}, ""},
		"a host as CN":       {x509.Certificate{Subject: pkix.Name{CommonName: "reader.example.org"}}, ""},
		"its kind as CN":     {x509.Certificate{Subject: pkix.Name{CommonName: "dns:reader.example.org"}}, ""},
		"a host as email":    {x509.Certificate{EmailAddresses: []string{"reader.example.org"}}, ""},
		"a URI as DNS":       {x509.Certificate{DNSNames: []string{spiffe.String()}}, ""},
		"an email as CN":     {x509.Certificate{Subject: pkix.Name{CommonName: "alice@example.org"}}, ""},
		"CN beside DNS":      {x509.Certificate{Subject: pkix.Name{CommonName: "Alice S."}, DNSNames: []string{"x"}}, ""},
		"CN beside an IP":    {x509.Certificate{Subject: pkix.Name{CommonName: "Alice S."}, IPAddresses: []net.IP{{1, 2, 3, 4}}}, ""},
		"CN beside a number": {x509.Certificate{Subject: pkix.Name{CommonName: "Alice S."}, Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}}}}, ""},
	} {
		c.certificate.NotAfter = time.Now().Add(time.Hour)
		principal, err := p.Certificate(&c.certificate)
		switch {
		case c.want == "":
			wantDenial(t, what, err, access.UnknownCertificate)
		case err != nil || principal.Name() != c.want:
			t.Errorf("%s: %v, %v, want %s", what, principal, err, c.want)
		}
	}
}

// TestReplace: what is withdrawn or changed holds at once for those who are in.
func TestReplace(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p := policy(t, withToken(reader, "secret"))
	byKey, _ := p.Key(key(t, keyOne))
	byToken, _ := p.Token(ctx, "secret")

	p.Replace(parse(t, withToken(strings.Replace(reader, "roles: [client]", "roles: [handler]", 1), "other")))
	if r := byKey.Rights(); r.Client || !r.Handler {
		t.Errorf("with another role the rights are %+v", r)
	}
	if r := byToken.Rights(); !reflect.ValueOf(r).IsZero() || byToken.Need(access.Handler) == nil {
		t.Errorf("with the token withdrawn the rights are %+v", r)
	}
	p.Replace(parse(t, "identities: [{name: thief, roles: [client], curve-keys: ['"+keyOne+"']}]"))
	if r := byKey.Rights(); !reflect.ValueOf(r).IsZero() {
		t.Errorf("with the key given to somebody else the rights are %+v", r)
	}
	p.Replace(parse(t, withToken(reader, "secret")))
	if !byKey.Rights().Client || !byToken.Rights().Client {
		t.Error("with the old rules back there are no rights")
	}
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, fmt.Sprintf("identities: [{name: a, roles: [client], tokens: [{sha256: %s, expires: %s}]}]",
			access.HashToken("secret"), time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
		principal, err := p.Token(t.Context(), "secret")
		if err != nil || !principal.Rights().Client {
			t.Fatalf("before: %v, %v", principal, err)
		}
		time.Sleep(time.Hour)
		_, err = p.Token(t.Context(), "secret")
		wantDenial(t, "after", err, access.ExpiredToken)
		if principal.Rights().Client {
			t.Error("who came before still has rights")
		}
	})
}

func TestNewToken(t *testing.T) {
	t.Parallel()
	token, hash := access.NewToken()
	other, _ := access.NewToken()
	if token == other || len(token) < 40 || hash != access.HashToken(token) {
		t.Errorf("tokens %s, %s, hash %s", token, other, hash)
	}
}

// TestDenialsAreBounded: each is counted, but of those that repeat there are few
// lines, which say how many are missing.
func TestDenialsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var counted int
		p := access.NewPolicy(parse(t, ""), slog.New(slog.NewTextHandler(&log, nil)), func(front, cause, identity string) {
			counted++
			if front != "grpc" || cause != "unknown_token" || identity != "" {
				t.Errorf("counted %s %s %s", front, cause, identity)
			}
		})
		denial := &access.Denial{Cause: access.UnknownToken, Detail: "no identity has the token"}
		for range 50 {
			p.Deny("grpc", "192.0.2.1", denial)
		}
		p.Deny("grpc", "192.0.2.2", denial)
		time.Sleep(time.Minute)
		p.Deny("grpc", "192.0.2.1", denial)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if counted != 52 || len(lines) != 7 || !strings.Contains(lines[6], "suppressed=45") {
			t.Errorf("counted %d, logged\n%s", counted, log.String())
		}
	})
}

// TestStrangersSilenceNobody: 5,000 strangers who keep trying fill no log, and what
// is denied to a known identity meanwhile is logged, as is the first of another
// stranger's once they are gone.
func TestStrangersSilenceNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := access.NewPolicy(parse(t, ""), slog.New(slog.NewTextHandler(&log, nil)), nil)
		guess := &access.Denial{Cause: access.WrongRole, Detail: strings.Repeat("x", 1<<20)}
		wrong := &access.Denial{Cause: access.WrongRole, Identity: "reader", Detail: "needs the role admin"}
		const minutes = 5
		for range minutes {
			for range 3 {
				for i := range 5000 {
					p.Deny("grpc", fmt.Sprintf("10.1.%d.%d", i/250, i%250), guess)
				}
			}
			p.Deny("grpc", "10.1.0.1", wrong)
			time.Sleep(time.Minute)
		}
		if n := strings.Count(log.String(), "identity=reader"); n != minutes {
			t.Errorf("of a known identity there are %d lines of %d", n, minutes)
		}
		if n := strings.Count(log.String(), "\n"); n > minutes*2000 {
			t.Errorf("the flood makes %d lines", n)
		}
		if log.Len() > minutes*2000*1500 {
			t.Errorf("the flood makes %d bytes", log.Len())
		}
		p.Deny("grpc", "192.0.2.1", &access.Denial{Cause: access.WrongRole, Detail: "later"})
		if !strings.Contains(log.String(), "detail=later") {
			t.Error("a stranger who comes later is not logged")
		}
	})
}

// TestCertificateThatExpires: its connection may live longer.
func TestCertificateThatExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, withToken(reader, "secret"))
		c := &x509.Certificate{DNSNames: []string{"reader.example.org"}, NotAfter: time.Now().Add(time.Hour)}
		principal, err := p.Certificate(c)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if !principal.Rights().Client || principal.Need(access.Client) != nil {
			t.Error("nothing is allowed while it is valid")
		}
		time.Sleep(time.Second)
		if principal.Rights().Client || principal.Need(access.Client) == nil {
			t.Error("something is allowed after it has expired")
		}
		_, err = p.Certificate(c)
		wantDenial(t, "expired", err, access.BadCertificate)
	})
}
