package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/zioflow/gateway/internal/pki"
)

const year = 365 * 24 * time.Hour

func parse(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	all, err := pki.Certificates(text)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d certificates, %v", len(all), err)
	}
	return all[0]
}

func newCA(t *testing.T, valid time.Duration) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA("an authority", valid)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// TestRenew: the new certificate is by the same authority for the same names and key, as
// long as the one before was, unless something else is asked for.
func TestRenew(t *testing.T) {
	t.Parallel()
	ca := newCA(t, 10*year)
	server, err := ca.Server([]string{"gw.example.org", "::1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	old := parse(t, server.Certificate)
	for name, c := range map[string]struct {
		ask   pki.Renewal
		valid time.Duration
		hosts []string
	}{
		"as before": {pki.Renewal{}, time.Hour, []string{"gw.example.org", "::1"}},
		"longer":    {pki.Renewal{Valid: year}, year, []string{"gw.example.org", "::1"}},
		"too long":  {pki.Renewal{Valid: 99 * year}, 10 * year, []string{"gw.example.org"}},
		"elsewhere": {pki.Renewal{Hosts: []string{"10.0.0.1", "gw"}}, time.Hour, []string{"10.0.0.1", "gw"}},
		"new key":   {pki.Renewal{NewKey: true}, time.Hour, []string{"gw.example.org"}},
	} {
		pair, err := ca.Renew(old, c.ask)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		fresh := parse(t, pair.Certificate)
		for _, host := range c.hosts {
			if _, err := fresh.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: host}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if off := time.Until(fresh.NotAfter) - c.valid; off > 0 || off < -time.Minute {
			t.Errorf("%s: is valid until %v", name, fresh.NotAfter)
		}
		if same := fresh.PublicKey.(*ecdsa.PublicKey).Equal(old.PublicKey); same == c.ask.NewKey || (pair.Key != nil) != c.ask.NewKey {
			t.Errorf("%s: the same key: %v; another: %d bytes", name, same, len(pair.Key))
		}
		if fresh.SerialNumber.Cmp(old.SerialNumber) == 0 || !slices.Equal(fresh.ExtKeyUsage, old.ExtKeyUsage) {
			t.Errorf("%s: %+v", name, fresh)
		}
		if _, err := pki.LoadCA(pki.Pair{Certificate: pair.Certificate, Key: server.Key}); err == nil {
			t.Errorf("%s: is taken for an authority", name)
		}
	}
	client, err := ca.Client("alice", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Renew(parse(t, client.Certificate), pki.Renewal{Hosts: []string{"x"}}); err == nil {
		t.Error("a client has got hosts")
	}
}

// TestSuccessor: who trusts the bundle trusts what both authorities have signed; who
// trusts one of them, that one's. The bundle is the authority's whose key is given.
func TestSuccessor(t *testing.T) {
	t.Parallel()
	old := newCA(t, year)
	next, bundle, err := old.Successor()
	if err != nil {
		t.Fatal(err)
	}
	if off := time.Until(next.Expires()) - year; off > 0 || off < -time.Minute {
		t.Errorf("is valid until %v", next.Expires())
	}
	both := x509.NewCertPool()
	both.AppendCertsFromPEM(bundle)
	for by, ca := range map[string]*pki.CA{"old": old, "new": next} {
		pair, err := ca.Server([]string{"gw"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		certificate := parse(t, pair.Certificate)
		for trusted, pool := range map[string]*x509.CertPool{"both": both, "old": old.Pool(), "new": next.Pool()} {
			_, err := certificate.Verify(x509.VerifyOptions{Roots: pool, DNSName: "gw"})
			if good := trusted == "both" || trusted == by; (err == nil) != good {
				t.Errorf("who trusts %s takes the %s one's: %v", trusted, by, err)
			}
		}
		if old.Issued(certificate) != (by == "old") {
			t.Errorf("whether the old one has issued the %s one's certificate", by)
		}
		loaded, err := pki.LoadCA(pki.Pair{Certificate: bundle, Key: ca.Key})
		if err != nil || !bytes.Equal(loaded.Certificate, ca.Certificate) {
			t.Errorf("the bundle with the %s key: %v", by, err)
		}
	}
	if _, err := pki.LoadCA(pki.Pair{Certificate: bundle, Key: newCA(t, year).Key}); err == nil {
		t.Error("a third one's key is taken")
	}
}

// TestCertificates: what else a file has does not matter, but it needs a certificate.
func TestCertificates(t *testing.T) {
	t.Parallel()
	ca := newCA(t, year)
	broken := []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	text := slices.Concat([]byte("# ours\n"), ca.Key, broken, ca.Certificate, []byte("and that is all"))
	if all, err := pki.Certificates(text); err != nil || len(all) != 1 {
		t.Errorf("%d, %v", len(all), err)
	}
	for name, text := range map[string][]byte{"nothing": nil, "a key": ca.Key, "a broken one": broken} {
		if _, err := pki.Certificates(text); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
