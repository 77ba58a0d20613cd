package zioflow

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
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
	settings
	credentials credentials.TransportCredentials
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
	return append([]grpc.DialOption{
		grpc.WithTransportCredentials(s.credentials),
		grpc.WithKeepaliveParams(keepAlive),
	}, s.more...)
}

type maxMessage uint32

func (m maxMessage) apply(s *settings)           { s.maxMessage = int(m) }
func (m maxMessage) applyToDial(s *dialSettings) { m.apply(&s.settings) }

type dialOption func(*dialSettings)

func (o dialOption) applyToDial(s *dialSettings) { o(s) }
