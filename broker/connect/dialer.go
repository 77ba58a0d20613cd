package connect

import (
	"context"
	"errors"
	"time"

	"github.com/zioflow/gateway/broker/zio"
)

// Dialer connects to handlers: package zmqbridge/reach does. Its methods may be called
// concurrently.
type Dialer interface {
	// Check says what is wrong with a target's Address or ServerKey, as far as that can
	// be seen without connecting. The error is a *routing.FieldError.
	Check(Target) error
	// Dial connects to an address, again and again while the context lasts if it is to
	// be patient. An error says in words why there is no connection.
	Dial(ctx context.Context, address string, o DialOptions) (Conn, error)
}

// DialOptions are what a connection to a handler is made with.
type DialOptions struct {
	// ServerKey is that of the Target.
	ServerKey string
	// MaxMessage is how large a message may be that comes, in bytes of all its parts.
	MaxMessage int
	// Patient has Dial try again while there is none.
	Patient bool
}

// Conn is a connection to a handler. Its methods may be called concurrently.
type Conn interface {
	// Send sends a message, and releases it when that has been written or cannot be any
	// more. It waits for room while the context lasts. With an error the message is
	// still the caller's.
	Send(context.Context, *zio.Message) error
	// Flush waits, while the context lasts, until what was sent has been written.
	Flush(context.Context) error
	// Receive returns the next message. An error that wraps zio.ErrMalformed changes
	// nothing; one that wraps ErrTooLarge, or any other, is the connection's end.
	Receive(context.Context) (*zio.Message, error)
	// Stats is what has crossed it.
	Stats() Stats
	// Close ends it; for up to linger it lets what waits go out.
	Close(linger time.Duration) error
}

// Stats is what is known of a connection.
type Stats struct {
	// Protocol is its version, such as "ZMTP 3.1", Mechanism how it is secured.
	Protocol, Mechanism string
	BytesIn, BytesOut   uint64
	// LastSeen is when the last byte came.
	LastSeen time.Time
}

// ErrTooLarge is wrapped by the error of a connection that a message has ended which is
// larger than allowed.
var ErrTooLarge = errors.New("message too large")
