package pki

import (
	"crypto/x509"
	"errors"
	"time"
)

// Renewal says how a certificate that is renewed differs from the one before. The zero
// value is one for the same key and names, for as long.
type Renewal struct {
	// Valid is how long from now; 0 for as long as the one before. An authority certifies
	// nothing for longer than it is valid itself.
	Valid time.Duration
	// Hosts are the names and addresses of a server; nil for those of before.
	Hosts []string
	// NewKey makes another private key. Otherwise it stays, and need not be known.
	NewKey bool
}

// Renew makes another certificate in the place of one, whoever has signed that. The
// pair's Key is empty unless there is a new one.
func (ca *CA) Renew(old *x509.Certificate, r Renewal) (Pair, error) {
	if r.Valid == 0 {
		r.Valid = old.NotAfter.Sub(old.NotBefore) - clockSkew
	}
	template := &x509.Certificate{
		Subject: old.Subject, KeyUsage: old.KeyUsage, ExtKeyUsage: old.ExtKeyUsage,
		DNSNames: old.DNSNames, IPAddresses: old.IPAddresses, EmailAddresses: old.EmailAddresses, URIs: old.URIs,
	}
	if r.Hosts != nil {
		if !ForServers(old) {
			return Pair{}, errors.New("is no server's certificate, so it has no hosts")
		}
		if err := name(template, r.Hosts); err != nil {
			return Pair{}, err
		}
	}
	if r.NewKey {
		return sign(template, r.Valid, ca)
	}
	certificate, err := certify(template, r.Valid, old.PublicKey, ca)
	return Pair{Certificate: certificate}, err
}

// ForServers tells whether a certificate is a server's.
func ForServers(certificate *x509.Certificate) bool {
	for _, usage := range certificate.ExtKeyUsage {
		if usage == x509.ExtKeyUsageServerAuth {
			return true
		}
	}
	return false
}

// Successor makes an authority of the same name that takes over: valid for as long as
// this one was made for. The bundle has the certificates of both, the new one's first.
func (ca *CA) Successor() (successor *CA, bundle []byte, err error) {
	valid := ca.certificate.NotAfter.Sub(ca.certificate.NotBefore) - clockSkew
	successor, err = NewCA(ca.certificate.Subject.CommonName, valid)
	if err != nil {
		return nil, nil, err
	}
	return successor, append(successor.Certificate[:len(successor.Certificate):len(successor.Certificate)], ca.Certificate...), nil
}
