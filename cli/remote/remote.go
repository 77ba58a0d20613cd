// Package remote is how a command reaches a gateway: where it is, who asks, and what went
// wrong in words for somebody at a command line.
package remote

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/cli/exit"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// DefaultAddress is where a gateway serves gRPC that nobody configured.
const DefaultAddress = "127.0.0.1:7575"

// Flags say which gateway a command talks to, and how it proves who asks.
type Flags struct {
	Address   string        `group:"Gateway" help:"Where the gateway serves gRPC; by default at 127.0.0.1:7575." placeholder:"HOST:PORT"`
	TokenFile string        `group:"Gateway" help:"Show the bearer token in this file." placeholder:"FILE"`
	TLSCA     string        `group:"Gateway" name:"tls-ca" help:"Encrypt, and trust gateways by this authority." placeholder:"FILE"`
	TLSCert   string        `group:"Gateway" name:"tls-cert" help:"Show this client certificate." placeholder:"FILE" env:"-"`
	TLSKey    string        `group:"Gateway" name:"tls-key" help:"The certificate's private key." placeholder:"FILE" env:"-"`
	Timeout   time.Duration `group:"Gateway" default:"10s" help:"How long the gateway may take for a reply."`
}

// Gateway is a connection to a gateway, for operators.
type Gateway struct {
	zioflow.Admin
	// Address is where it is.
	Address string
	// Timeout bounds a call.
	Timeout time.Duration

	client *zioflow.Gateway
}

// Dial makes the connection that the flags describe. Whether there is a gateway is seen by
// the first call.
func (f *Flags) Dial() (*Gateway, error) {
	target := &target{address: cmp.Or(f.Address, DefaultAddress)}
	if err := f.read(target); err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	options, err := target.options()
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	client, err := zioflow.Dial(target.address, options...)
	if err != nil {
		return nil, exit.With(exit.Usage, errors.New(words(err.Error())))
	}
	return &Gateway{Admin: client.Admin(), Address: target.address, Timeout: f.Timeout, client: client}, nil
}

// Close ends the connection.
func (g *Gateway) Close() { _ = g.client.Close() }

// Limited is a context for one call.
func (g *Gateway) Limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, g.Timeout)
}

// target is where a gateway is and what it is shown; PEM and token are contents.
type target struct {
	address       string
	token         string
	ca, cert, key []byte
}

// read has the files' content in t.
func (f *Flags) read(t *target) error {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key need each other")
	}
	for _, file := range []struct {
		option, path string
		content      *[]byte
	}{{"--tls-ca", f.TLSCA, &t.ca}, {"--tls-cert", f.TLSCert, &t.cert}, {"--tls-key", f.TLSKey, &t.key}} {
		if file.path == "" {
			continue
		}
		text, err := os.ReadFile(file.path)
		if err != nil {
			return errors.New(file.option + ": " + err.Error())
		}
		*file.content = text
	}
	if f.TokenFile != "" {
		text, err := os.ReadFile(f.TokenFile)
		if err != nil {
			return errors.New("--token-file: " + err.Error())
		}
		if t.token = strings.TrimSpace(string(text)); t.token == "" {
			return errors.New("--token-file: " + f.TokenFile + " is empty")
		}
	}
	return nil
}

// options are what the client needs of it.
func (t *target) options() ([]zioflow.DialOption, error) {
	var options []zioflow.DialOption
	if t.token != "" {
		options = append(options, zioflow.WithToken(t.token))
	}
	if t.ca == nil {
		if t.cert != nil {
			return nil, errors.New("--tls-cert and --tls-key need --tls-ca")
		}
		return options, nil
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(t.ca) {
		return nil, errors.New("--tls-ca: there is no certificate in PEM in it")
	}
	if t.cert != nil {
		pair, err := tls.X509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, errors.New("--tls-cert with --tls-key: " + err.Error())
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return append(options, zioflow.WithTLS(config)), nil
}

// exits are the codes for what a call came to.
var exits = map[codes.Code]exit.Code{
	codes.Unavailable: exit.Unreachable, codes.DeadlineExceeded: exit.Unreachable, codes.Unimplemented: exit.Unreachable,
	codes.Unauthenticated: exit.NotLetIn, codes.PermissionDenied: exit.NotLetIn,
	codes.NotFound: exit.NotFound, codes.FailedPrecondition: exit.Refused, codes.AlreadyExists: exit.Refused,
	codes.InvalidArgument: exit.Usage,
}

// Explain is an error of a call in words, with its exit code.
func (g *Gateway) Explain(err error) error {
	if err == nil {
		return nil
	}
	code, known := exits[status.Code(err)]
	if !known {
		code = exit.Failed
	}
	text := words(g.client.Explain(err).Error())
	switch status.Code(err) {
	case codes.Unauthenticated:
		text += " (see --token-file, --tls-cert and `gateway context`)"
	case codes.DeadlineExceeded:
		text = "the gateway at " + g.Address + " did not reply within " + g.Timeout.String()
	}
	return exit.With(code, errors.New(text))
}

// words are those of the client for Go as somebody at a command line understands them.
func words(text string) string {
	return strings.NewReplacer("zioflow: ", "", "leave WithTLS out", "leave --tls-ca out", "give WithTLS", "give --tls-ca",
		"this program's", "this", "this program", "this token or certificate").Replace(text)
}
