package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/internal/pki"
	"github.com/zioflow/gateway/internal/wholefile"
)

// Names of the files in a folder of keys.
const (
	CACertificate = "ca.pem"
	Certificate   = "node.pem"
	Key           = "node.key"
)

// CommonName stands in every node's certificate: that it is there makes somebody a node. A
// node is known by it, wherever it is, and its own name and addresses count for nothing.
const CommonName = "node.zio-gateway"

// Keys are a node's certificate with its key, and the authorities of its cluster: one, or
// two while one takes over from the other. They do not change.
type Keys struct {
	Node        *x509.Certificate
	Authorities []*x509.Certificate

	pair *tls.Certificate
	pool *x509.CertPool
}

// KeyFiles are the files of a folder.
func KeyFiles(folder string) []string {
	return []string{filepath.Join(folder, CACertificate), filepath.Join(folder, Certificate), filepath.Join(folder, Key)}
}

// LoadKeys reads a folder. It is an error if other nodes would not take its certificate.
func LoadKeys(folder string) (*Keys, error) {
	files := KeyFiles(folder)
	text, err := wholefile.Read(files[0], wholefile.Keys)
	if err != nil {
		return nil, err
	}
	k := &Keys{pool: x509.NewCertPool()}
	if k.Authorities, err = pki.Certificates(text); err != nil {
		return nil, fmt.Errorf("%s: %w", files[0], err)
	}
	for _, c := range k.Authorities {
		k.pool.AddCert(c)
	}
	pair, err := tls.LoadX509KeyPair(files[1], files[2])
	if err != nil {
		return nil, fmt.Errorf("%s with %s in %s: %w", Certificate, Key, folder, err)
	}
	k.pair, k.Node = &pair, pair.Leaf
	if err := k.verify([]*x509.Certificate{pair.Leaf}); err != nil {
		return nil, fmt.Errorf("%s: %w", files[1], err)
	}
	return k, nil
}

// verify tells whether a certificate is a node's, now; those after it may lead to the
// authority.
func (k *Keys) verify(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("there is no certificate")
	}
	o := x509.VerifyOptions{
		Roots: k.pool, Intermediates: x509.NewCertPool(), CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(o); err != nil {
		return err
	}
	if err := chain[0].VerifyHostname(CommonName); err != nil {
		return fmt.Errorf("the certificate is no node's: %w", err)
	}
	return nil
}

// KeyRing has the keys that are in force. Its methods may be called concurrently.
type KeyRing struct{ keys atomic.Pointer[Keys] }

// NewKeyRing has these in force.
func NewKeyRing(k *Keys) *KeyRing {
	r := &KeyRing{}
	r.keys.Store(k)
	return r
}

// Replace puts others in force, for connections that are made from then on: those that
// there are stay.
func (r *KeyRing) Replace(k *Keys) { r.keys.Store(k) }

// config lets nodes of the cluster in and goes to nobody else, as server and as client. Who
// is one is asked of the keys that are in force then, of which crypto/tls knows nothing: so
// it is not to verify by itself.
func (r *KeyRing) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: CommonName,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does it
		ClientAuth:         tls.RequireAnyClientCert,
		GetCertificate:     func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.keys.Load().pair, nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return r.keys.Load().pair, nil
		},
		VerifyConnection: func(s tls.ConnectionState) error { return r.keys.Load().verify(s.PeerCertificates) },
	}
}
