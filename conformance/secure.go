package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/internal/secretfile"
	"github.com/zioflow/gateway/zmtp"
)

// secureFlags say how the player proves who it is, as the gateway's own get and put do.
type secureFlags struct {
	TLSCA       string `name:"tls-ca" help:"Encrypt gRPC, and trust brokers by this authority." placeholder:"FILE"`
	TokenFile   string `help:"Show the bearer token in this file; needs --tls-ca." placeholder:"FILE"`
	CurveServer string `help:"Use CURVE over ZeroMQ; the broker's public key is in this file." placeholder:"FILE"`
	CurveKey    string `help:"The own secret key is in this file." placeholder:"FILE"`
}

// dialOptions are what gRPC needs of it; nil for clear text.
func (f *secureFlags) dialOptions() ([]grpc.DialOption, error) {
	if f.TLSCA == "" {
		if f.TokenFile != "" {
			return nil, errors.New("token-file needs tls-ca: a token is not shown in clear text")
		}
		return nil, nil
	}
	text, err := os.ReadFile(f.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("tls-ca: %w", err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls-ca: %s has no certificate in PEM", f.TLSCA)
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}
	if f.TokenFile != "" {
		token, err := secretfile.Read(f.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("token-file: %w", err)
		}
		options = append(options, grpc.WithPerRPCCredentials(bearer(token)))
	}
	return options, nil
}

// bearer is a token that is shown with every call.
type bearer string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (bearer) RequireTransportSecurity() bool { return true }

// curve is what ZeroMQ needs of it; nil for no CURVE.
func (f *secureFlags) curve() (*zmtp.CurveKeys, error) {
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
	text, err := secretfile.Read(path)
	if err != nil {
		return key, err
	}
	if key, err = access.ParseCurveKey(text); err != nil {
		return key, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
