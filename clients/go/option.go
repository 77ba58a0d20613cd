package zioflow

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// A DialOption configures the connection that [Dial] makes. [NewGateway] is
// given one that exists, so takes only an [Option].
type DialOption interface {
	applyToDial(*dialSettings)
}

// An Option configures a [Gateway], whoever made its connection.
type Option interface {
	DialOption
	apply(*settings)
}

// WithMaxMessage is the largest payload to send and to receive, in bytes; 64
// MiB if it is not given, as in a gateway that nobody configured.
func WithMaxMessage(bytes uint32) Option { return maxMessage(bytes) }

// WithTransportCredentials has the connection encrypted, and the gateway
// authenticated.
func WithTransportCredentials(c credentials.TransportCredentials) DialOption {
	return dialOption(func(s *dialSettings) { s.credentials = c })
}

// WithTLS has the connection encrypted, and the gateway authenticated by the
// configuration's RootCAs; with Certificates, the client as well.
func WithTLS(c *tls.Config) DialOption { return WithTransportCredentials(credentials.NewTLS(c)) }

// WithToken shows a bearer token with every call. Dial refuses to send it in
// clear text to another machine. Space around it, such as the newline at the end of a
// file, is no part of it.
func WithToken(token string) DialOption {
	return dialOption(func(s *dialSettings) {
		_, s.wrong = trimToken(token)
		s.token = func(context.Context) (string, error) { return token, nil }
	})
}

// WithTokenSource is WithToken for tokens that have to be renewed: source is
// asked at every call, and may be called concurrently. An error of it is that of
// the call.
func WithTokenSource(source func(context.Context) (string, error)) DialOption {
	return dialOption(func(s *dialSettings) { s.token, s.wrong = source, nil })
}

// WithName shows a name with every call, by which operators know the program: they see its
// first 128 bytes. It is of printable ASCII, and proves nothing.
func WithName(name string) DialOption {
	return dialOption(func(s *dialSettings) { s.name = name })
}

// named is the context of a call that shows the name.
func (s dialSettings) named(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "zio-client-name", s.name)
}

func (s dialSettings) nameUnary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(s.named(ctx), method, request, reply, conn, opts...)
}

func (s dialSettings) nameStream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, begin grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return begin(s.named(ctx), desc, conn, method, opts...)
}

// WithDialOptions passes options on to gRPC, behind the package's own.
func WithDialOptions(opts ...grpc.DialOption) DialOption {
	return dialOption(func(s *dialSettings) { s.more = append(s.more, opts...) })
}

const (
	defaultMaxMessage = 64 << 20
	// headRoom is how much longer than its payload a message may be: its label
	// and the encoding.
	headRoom = 64 << 10
)

// keepAlive notices a gateway that is gone. The gateway takes one ping in 5 s.
var keepAlive = keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}

// reconnect finds a gateway that was started again soon, also after it was away for long.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: firstRetry, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastRetry},
	MinConnectTimeout: 10 * time.Second,
}

type settings struct{ maxMessage int }

func newSettings(opts []Option) settings {
	s := settings{maxMessage: defaultMaxMessage}
	for _, option := range opts {
		option.apply(&s)
	}
	return s
}

func (s settings) limit() int { return s.maxMessage + headRoom }

type dialSettings struct {
	name string // empty for none
	settings
	credentials credentials.TransportCredentials
	token       func(context.Context) (string, error) // nil for none
	wrong       error                                 // with the token
	more        []grpc.DialOption
}

func newDialSettings(opts []DialOption) dialSettings {
	s := dialSettings{settings: newSettings(nil), credentials: insecure.NewCredentials()}
	for _, option := range opts {
		option.applyToDial(&s)
	}
	return s
}

func (s dialSettings) grpcOptions() []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(s.credentials),
		grpc.WithKeepaliveParams(keepAlive),
		grpc.WithConnectParams(reconnect),
	}
	options = append(options, grpc.WithUserAgent(filepath.Base(os.Args[0])+" zioflow-go"))
	if s.name != "" {
		options = append(options, grpc.WithChainUnaryInterceptor(s.nameUnary), grpc.WithChainStreamInterceptor(s.nameStream))
	}
	if s.token != nil {
		options = append(options, grpc.WithPerRPCCredentials(bearer{s.token, s.encrypted()}))
	}
	return append(options, s.more...)
}

func (s dialSettings) encrypted() bool { return s.credentials.Info().SecurityProtocol != "insecure" }

// check refuses an address that is none, and a token that is none or that others could read.
func (s dialSettings) check(target string) error {
	if err := checkTarget(target); err != nil {
		return err
	}
	if s.wrong != nil {
		return fmt.Errorf("zioflow: %w", s.wrong)
	}
	for _, c := range s.name {
		if c < ' ' || c > '~' {
			return fmt.Errorf("zioflow: the name %q has other characters than printable ones of ASCII", s.name)
		}
	}
	if s.token == nil || s.encrypted() || isLocal(target) {
		return nil
	}
	return fmt.Errorf("zioflow: a token for %s would cross the network in clear text: give WithTLS", target)
}

// isLocal tells whether a gRPC target stays on this machine.
func isLocal(target string) bool {
	if scheme, rest, found := strings.Cut(target, ":///"); found {
		if scheme == "unix" {
			return true
		}
		target = rest
	}
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "passthrough:") {
		return strings.HasPrefix(target, "unix:")
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		host = target
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// bearer implements credentials.PerRPCCredentials.
type bearer struct {
	source    func(context.Context) (string, error)
	encrypted bool
}

func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := b.source(ctx)
	if err == nil {
		token, err = trimToken(token)
	}
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

func (b bearer) RequireTransportSecurity() bool { return b.encrypted }

type maxMessage uint32

func (m maxMessage) apply(s *settings)           { s.maxMessage = int(m) }
func (m maxMessage) applyToDial(s *dialSettings) { m.apply(&s.settings) }

type dialOption func(*dialSettings)

func (o dialOption) applyToDial(s *dialSettings) { o(s) }
