package transfer

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/zioflow/gateway/access"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/zmtp"
)

// secure says how a command proves who it is.
type secure struct {
	TLSCA       string `name:"tls-ca" help:"Encrypt gRPC, and trust gateways by this authority." placeholder:"FILE" env:"-"`
	TLSCert     string `name:"tls-cert" help:"Show this client certificate." placeholder:"FILE" env:"-"`
	TLSKey      string `name:"tls-key" help:"The certificate's private key." placeholder:"FILE" env:"-"`
	TokenFile   string `help:"Show the bearer token in this file." placeholder:"FILE" env:"-"`
	CurveServer string `help:"Use CURVE over ZeroMQ; the gateway's public key is in this file." placeholder:"FILE" env:"-"`
	CurveKey    string `help:"The own secret key is in this file." placeholder:"FILE" env:"-"`
}

// dialOptions are what gRPC needs of it.
func (f *secure) dialOptions() ([]zioflow.DialOption, error) {
	var options []zioflow.DialOption
	if f.TLSCA != "" {
		config, err := f.tls()
		if err != nil {
			return nil, err
		}
		options = append(options, zioflow.WithTLS(config))
	} else if f.TLSCert != "" || f.TLSKey != "" {
		return nil, errors.New("tls-cert and tls-key need tls-ca")
	}
	if f.TokenFile != "" {
		token, err := access.ReadSecret(f.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("token-file: %w", err)
		}
		options = append(options, zioflow.WithToken(token))
	}
	return options, nil
}

func (f *secure) tls() (*tls.Config, error) {
	text, err := os.ReadFile(f.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("tls-ca: %w", err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls-ca: %s has no certificate in PEM", f.TLSCA)
	}
	if f.TLSCert == "" && f.TLSKey == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("tls-cert %s with tls-key %s: %w", f.TLSCert, f.TLSKey, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// curve is what ZeroMQ needs of it; nil for no CURVE.
func (f *secure) curve() (*zmtp.CurveKeys, error) {
	switch {
	case f.CurveServer == "" && f.CurveKey == "":
		return nil, nil
	case f.CurveServer == "" || f.CurveKey == "":
		return nil, errors.New("curve-server and curve-key need each other")
	}
	server, err := readCurveKey(f.CurveServer)
	if err != nil {
		return nil, fmt.Errorf("curve-server: %w", err)
	}
	secret, err := readCurveKey(f.CurveKey)
	if err != nil {
		return nil, fmt.Errorf("curve-key: %w", err)
	}
	public, err := secret.Public()
	if err != nil {
		return nil, fmt.Errorf("curve-key: %s: %w", f.CurveKey, err)
	}
	return &zmtp.CurveKeys{Server: server, Secret: secret, Public: public}, nil
}

// readCurveKey reads a file with a key in Z85.
func readCurveKey(path string) (key access.CurveKey, err error) {
	text, err := access.ReadSecret(path)
	if err != nil {
		return key, err
	}
	if key, err = access.ParseCurveKey(text); err != nil {
		return key, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
