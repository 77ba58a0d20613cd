// Package remote is how a command reaches a gateway: where it is, who asks, and what went
// wrong in words for somebody at a command line.
package remote

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/cli/contexts"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/tables"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/internal/secretfile"
)

// DefaultAddress is where a gateway serves gRPC that nobody configured.
const DefaultAddress = "127.0.0.1:7575"

// Flags say which gateway a command talks to, and how it proves who asks. What they do not
// say comes from a context.
type Flags struct {
	Context   string        `group:"Gateway" help:"The named gateway to talk to, see gateway context; by default the one in use." placeholder:"NAME"`
	Address   string        `group:"Gateway" help:"Where the gateway serves gRPC, HOST:PORT or unix:PATH, instead of a context; by default at 127.0.0.1:7575." placeholder:"HOST:PORT"`
	TokenFile string        `group:"Gateway" help:"Show the bearer token in this file." placeholder:"FILE"`
	TLSCA     string        `group:"Gateway" name:"tls-ca" help:"Encrypt, and trust gateways by this authority." placeholder:"FILE"`
	TLSCert   string        `group:"Gateway" name:"tls-cert" help:"Show this client certificate." placeholder:"FILE" env:"-"`
	TLSKey    string        `group:"Gateway" name:"tls-key" help:"The certificate's private key." placeholder:"FILE" env:"-"`
	Timeout   time.Duration `group:"Gateway" default:"10s" help:"How long the gateway may take for a reply."`
}

// Resolve is the gateway that the flags describe, with the content of files. A context that
// is in use is not asked where an address is given: what it has to show is for its own
// gateway. The command line wins over the environment.
func (f *Flags) Resolve() (contexts.Context, error) {
	c, err := f.base()
	if err != nil {
		return c, err
	}
	if err := f.read(&c); err != nil {
		return c, exit.With(exit.Usage, err)
	}
	return c, nil
}

func (f *Flags) base() (contexts.Context, error) {
	name, address := f.Context, f.Address
	if name != "" && address != "" {
		told := func(value, variable string) bool { return os.Getenv(variable) != value }
		switch byLine, addressByLine := told(name, "ZIO_GATEWAY_CONTEXT"), told(address, "ZIO_GATEWAY_ADDRESS"); {
		case byLine == addressByLine:
			return contexts.Context{}, exit.Errorf(exit.Usage, "--context %s and --address %s both name a gateway: give one of them", name, address)
		case byLine:
			address = ""
		default:
			name = ""
		}
	}
	if address != "" {
		return contexts.Context{Address: address}, nil
	}
	path, err := contexts.Path()
	if err != nil && name == "" {
		return contexts.Context{Address: DefaultAddress}, nil
	}
	if err != nil {
		return contexts.Context{}, exit.With(exit.Usage, err)
	}
	store, err := contexts.Open(path)
	if err != nil {
		return contexts.Context{}, exit.With(exit.Usage, err)
	}
	if name = cmp.Or(name, store.Current()); name == "" {
		return contexts.Context{Address: DefaultAddress}, nil
	}
	c, err := store.Get(name)
	return c, exit.With(exit.NotFound, err)
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
	target, err := f.Resolve()
	if err != nil {
		return nil, err
	}
	options, err := DialOptions(target, f.TLSCert, f.TLSKey)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	client, err := zioflow.Dial(target.Address, options...)
	if err != nil {
		return nil, exit.With(exit.Usage, errors.New(words(err.Error())))
	}
	return &Gateway{Admin: client.Admin(), Address: target.Address, Timeout: f.Timeout, client: client}, nil
}

// Check tells whether a connection could be made of a context.
func Check(c contexts.Context) error {
	options, err := DialOptions(c, "", "")
	if err != nil {
		return err
	}
	client, err := zioflow.Dial(c.Address, options...)
	if err != nil {
		return errors.New(words(err.Error()))
	}
	return client.Close()
}

// Close ends the connection.
func (g *Gateway) Close() { _ = g.client.Close() }

// Limited is a context for one call.
func (g *Gateway) Limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, g.Timeout)
}

// read has the files' content in the context, instead of what it had.
func (f *Flags) read(c *contexts.Context) error {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key need each other")
	}
	for _, file := range []struct {
		option, path string
		content      *string
	}{
		{"--token-file", f.TokenFile, &c.Token}, {"--tls-ca", f.TLSCA, &c.TLSCA},
		{"--tls-cert", f.TLSCert, &c.TLSCert}, {"--tls-key", f.TLSKey, &c.TLSKey},
	} {
		if file.path == "" {
			continue
		}
		content, err := secretfile.Read(file.path)
		if err != nil {
			return fmt.Errorf("%s: %w", file.option, err)
		}
		*file.content = content
	}
	return nil
}

// DialOptions are what the client for Go needs to know of a context. The paths, empty where
// there are none, are of the files that certificate and key were read from: for errors.
func DialOptions(c contexts.Context, certPath, keyPath string) ([]zioflow.DialOption, error) {
	var options []zioflow.DialOption
	if c.Token != "" {
		options = append(options, zioflow.WithToken(c.Token))
	}
	if c.TLSCA == "" {
		if c.TLSCert != "" {
			return nil, errors.New("--tls-cert and --tls-key need --tls-ca, which says which gateways to trust")
		}
		return options, nil
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM([]byte(c.TLSCA)) {
		return nil, errors.New("--tls-ca: there is no certificate in PEM in it")
	}
	if c.TLSCert != "" {
		pair, err := tls.X509KeyPair([]byte(c.TLSCert), []byte(c.TLSKey))
		if err != nil {
			return nil, fmt.Errorf("%s with %s: %s", named("--tls-cert", certPath), named("--tls-key", keyPath), strings.TrimPrefix(err.Error(), "tls: "))
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return append(options, zioflow.WithTLS(config)), nil
}

// named is an option with the file that it names, if it does.
func named(option, path string) string { return strings.TrimSpace(option + " " + path) }

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
	return exit.With(code, errors.New(tables.Printable(text))) // peers may have a part in it
}

// words are those of the client for Go as an operator understands them.
func words(text string) string {
	return strings.NewReplacer("this program's", "this", "this program", "this token or certificate").Replace(InOptions(text))
}

// InOptions is a text of the client for Go, with the command line's options in the place of
// the client's.
func InOptions(text string) string {
	return strings.NewReplacer("zioflow: ", "", "leave WithTLS out", "leave --tls-ca out", "give WithTLS", "give --tls-ca").Replace(text)
}

// First is the address for a client where the environment has those at which a gateway is to
// serve, of which there may be several, and which may be of all interfaces or none: the first of
// them that can be reached. It is empty if none can. One address alone is what it is.
func First(addresses string) string {
	for address := range strings.SplitSeq(addresses, ",") {
		address = strings.TrimSpace(address)
		if address == "" || address == "none" {
			continue
		}
		scheme, rest, found := strings.Cut(address, "://")
		if !found {
			scheme, rest = "", address
		} else {
			scheme += "://"
		}
		if port, all := strings.CutPrefix(rest, "*:"); all {
			rest = "127.0.0.1:" + port
		}
		return scheme + rest
	}
	return ""
}
