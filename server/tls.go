package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/credentials"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/internal/wholefile"
)

// TLSFiles are the files that encrypt a server's connections, in PEM.
type TLSFiles struct {
	// Certificate is the server's, with those between it and its CA; Key its
	// private key.
	Certificate, Key string
	// ClientCA has the CAs whose client certificates are taken; empty for none.
	ClientCA string
	// ClientOptional takes connections without a client certificate as well.
	ClientOptional bool
	// MinVersion is the oldest TLS version to take.
	MinVersion uint16
}

// Names are the files that are there.
func (f TLSFiles) Names() []string {
	names := []string{f.Certificate, f.Key}
	if f.ClientCA != "" {
		names = append(names, f.ClientCA)
	}
	return names
}

// Load reads the files. The error names the one that is wrong.
func (f TLSFiles) Load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.Certificate, f.Key, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: f.MinVersion, NextProtos: []string{"h2"}}
	if f.ClientCA == "" {
		return c, nil
	}
	text, err := wholefile.Read(f.ClientCA, wholefile.Keys)
	if err != nil {
		return nil, fmt.Errorf("client CA: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("client CA %s: has no certificate in PEM", f.ClientCA)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if f.ClientOptional {
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return c, nil
}

// TLS encrypts a server's connections by a configuration that can be replaced at
// any time. Its methods may be called concurrently.
type TLS struct{ config atomic.Pointer[tls.Config] }

// NewTLS begins with that configuration.
func NewTLS(c *tls.Config) *TLS {
	t := new(TLS)
	t.Replace(c)
	return t
}

// Replace uses c for connections made from now on.
func (t *TLS) Replace(c *tls.Config) { t.config.Store(c) }

// credentials are gRPC's view of t. Handshakes that fail are denied by the
// policy; nil for nobody to tell.
func (t *TLS) credentials(p *access.Policy) credentials.TransportCredentials {
	inner := credentials.NewTLS(&tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.config.Load(), nil },
	})
	if p == nil {
		return inner
	}
	return &toldHandshake{inner, p}
}

// toldHandshake tells of handshakes that fail.
type toldHandshake struct {
	credentials.TransportCredentials
	policy *access.Policy
}

func (h *toldHandshake) Clone() credentials.TransportCredentials {
	return &toldHandshake{h.TransportCredentials.Clone(), h.policy}
}

func (h *toldHandshake) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	encrypted, info, err := h.TransportCredentials.ServerHandshake(conn)
	if err != nil && !wentAway(err) {
		h.policy.Deny(front, crowd.Host(conn.RemoteAddr()), handshakeDenial(err))
	}
	return encrypted, info, err
}

// wentAway tells whether the connection was only tried, as some probes do.
func wentAway(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, connectionReset) || errors.Is(err, net.ErrClosed)
}

func handshakeDenial(err error) *access.Denial {
	cause := access.Handshake
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		cause = access.BadCertificate
	} else if strings.Contains(err.Error(), "didn't provide a certificate") { // it has no type
		cause = access.NoCertificate
	}
	return &access.Denial{Cause: cause, Detail: "TLS handshake: " + err.Error()}
}
