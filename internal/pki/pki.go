// Package pki makes a small certificate authority, to begin with and for tests.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Pair is a certificate with its private key, both in PEM.
type Pair struct{ Certificate, Key []byte }

// TLS is the pair as crypto/tls wants it.
func (p Pair) TLS() (tls.Certificate, error) { return tls.X509KeyPair(p.Certificate, p.Key) }

// CA signs certificates.
type CA struct {
	Pair
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA makes an authority that is valid for so long.
func NewCA(name string, valid time.Duration) (*CA, error) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	pair, err := sign(template, valid, nil)
	if err != nil {
		return nil, err
	}
	return LoadCA(pair)
}

// LoadCA reads an authority that NewCA has made. Beside its certificate there may be
// others, as while one authority takes over from another: the key says which it is.
func LoadCA(pair Pair) (*CA, error) {
	certificates, err := Certificates(pair.Certificate)
	if err != nil {
		return nil, err
	}
	for _, certificate := range certificates {
		own := Pair{encode(certificate), pair.Key}
		loaded, err := own.TLS()
		if err != nil { // it is another's
			continue
		}
		key, ok := loaded.PrivateKey.(*ecdsa.PrivateKey)
		if !ok || !loaded.Leaf.IsCA {
			return nil, errors.New("is no certificate authority that was made here")
		}
		return &CA{Pair: own, certificate: loaded.Leaf, key: key}, nil
	}
	_, err = tls.X509KeyPair(pair.Certificate, pair.Key)
	return nil, err
}

// Certificates reads those that a text has in PEM, of which there must be one. As with
// x509.CertPool, what else stands there does not matter, nor one that cannot be read.
func Certificates(text []byte) (certificates []*x509.Certificate, err error) {
	err = errors.New("has no certificate in PEM")
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemCertificate {
			continue
		}
		certificate, wrong := x509.ParseCertificate(block.Bytes)
		if wrong != nil {
			err = wrong
			continue
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, err
	}
	return certificates, nil
}

const pemCertificate = "CERTIFICATE"

func encode(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: certificate.Raw})
}

// Expires is when the authority is no longer valid.
func (ca *CA) Expires() time.Time { return ca.certificate.NotAfter }

// Issued tells whether the authority has signed a certificate.
func (ca *CA) Issued(certificate *x509.Certificate) bool {
	return certificate.CheckSignatureFrom(ca.certificate) == nil
}

// Pool is the authority alone, for those who trust it.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	return pool
}

// Server makes the certificate of a server that is reached under these names and
// addresses.
func (ca *CA) Server(hosts []string, valid time.Duration) (Pair, error) {
	template := &x509.Certificate{
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if err := name(template, hosts); err != nil {
		return Pair{}, err
	}
	return sign(template, valid, ca)
}

// name has a server's certificate be for these names and addresses.
func name(template *x509.Certificate, hosts []string) error {
	if len(hosts) == 0 {
		return errors.New("a server's certificate needs a name")
	}
	template.Subject = pkix.Name{CommonName: hosts[0]}
	template.IPAddresses, template.DNSNames = nil, nil
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return nil
}

// Client makes the certificate of a client of that name.
func (ca *CA) Client(name string, valid time.Duration) (Pair, error) {
	return sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, valid, ca)
}

// Peer makes the certificate of somebody who is server and client of others of the kind,
// under one name that is no host's.
func (ca *CA) Peer(name, common string, valid time.Duration) (Pair, error) {
	return sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{common},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, valid, ca)
}

// sign makes a key and has the authority certify it; itself without one.
func sign(template *x509.Certificate, valid time.Duration, by *CA) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if by == nil {
		by = &CA{certificate: template, key: key}
	}
	certificate, err := certify(template, valid, key.Public(), by)
	if err != nil {
		return Pair{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Certificate: certificate,
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, nil
}

// certify has the authority certify a key, for no longer than it is valid itself.
func certify(template *x509.Certificate, valid time.Duration, key crypto.PublicKey, by *CA) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-clockSkew)
	template.NotAfter = time.Now().Add(valid)
	if end := by.certificate.NotAfter; template.NotAfter.After(end) {
		template.NotAfter = end
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key, by.key)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s: %w", template.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: certificate}), nil
}

// clockSkew is how much earlier than now certificates are valid, as clocks differ.
const clockSkew = 5 * time.Minute
