package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
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

// keys are a node's certificate and the authority of its cluster.
type keys struct {
	folder string
	pool   *x509.CertPool

	mu     sync.Mutex
	pair   *tls.Certificate // guarded by mu
	looked time.Time        // guarded by mu
}

// lookAgain is how often the files are read anew, when somebody connects.
const lookAgain = time.Minute

// loadKeys reads a folder.
func loadKeys(folder string) (*keys, error) {
	name := filepath.Join(folder, CACertificate)
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	k := &keys{folder: folder, pool: x509.NewCertPool()}
	if !k.pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: has no certificate in PEM", name)
	}
	if err := k.read(); err != nil {
		return nil, err
	}
	return k, k.check(time.Now())
}

// read reads certificate and key.
func (k *keys) read() error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(k.folder, Certificate), filepath.Join(k.folder, Key))
	if err != nil {
		return fmt.Errorf("%s with %s in %s: %w", Certificate, Key, k.folder, err)
	}
	k.pair, k.looked = &pair, time.Now()
	return nil
}

// check says what others will find wrong with the certificate.
func (k *keys) check(now time.Time) error {
	_, err := k.pair.Leaf.Verify(x509.VerifyOptions{Roots: k.pool, DNSName: CommonName, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(k.folder, Certificate), err)
	}
	return nil
}

// present is the certificate as the files have it now, or had it when they were last whole.
func (k *keys) present() *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) > lookAgain {
		k.looked = time.Now()
		_ = k.read()
	}
	return k.pair
}

// config lets nodes of the cluster in and goes to nobody else, as server and as client.
func (k *keys) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: CommonName,
		RootCAs: k.pool, ClientCAs: k.pool, ClientAuth: tls.RequireAndVerifyClientCert,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.present(), nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return k.present(), nil },
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("there is no certificate")
			}
			if err := s.PeerCertificates[0].VerifyHostname(CommonName); err != nil {
				return fmt.Errorf("the certificate is no node's: %w", err)
			}
			return nil
		},
	}
}
