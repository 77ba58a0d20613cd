package dial

import (
	"errors"
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// Limit bounds a queue. A message that is larger than Bytes still enters a queue
// that is empty.
type Limit struct{ Messages, Bytes int }

// Options say where to connect, and how. DefaultOptions has values for all of them.
type Options struct {
	// Address is tcp://HOST:PORT, where HOST is a name or an IP address, an IPv6 one
	// in brackets and with its zone if it needs one; or ipc://PATH, or ipc://@NAME for
	// a name of Linux's.
	Address string
	// Type is zmtp.Client or zmtp.Dealer.
	Type zmtp.SocketType
	// Identity is the name under which a ROUTER knows a DEALER; empty for one of the
	// ROUTER's choice.
	Identity string
	// Curve are the keys for CURVE, with the server's; nil for NULL.
	Curve *zmtp.CurveKeys

	// Connect bounds the making of a connection, with the look-up of its name, and
	// Handshake the handshake after that.
	Connect, Handshake time.Duration
	// FirstRetry is about how long after a failure or loss it is tried again. With
	// every further failure that doubles, up to LastRetry. One after which it is of
	// little use to try again waits for LastRetry at once.
	FirstRetry, LastRetry time.Duration
	// Heartbeat is how long the peer may be silent before it is asked whether it is
	// there; 0 for never. HeartbeatTimeout is how long it may take to answer.
	Heartbeat, HeartbeatTimeout time.Duration
	// Stall is how long the peer may take no byte while bytes wait for it.
	Stall time.Duration

	// MaxMessage is how large a message may be that comes, in bytes of all its parts;
	// MaxParts how many it may have. One that is larger ends its connection.
	MaxMessage, MaxParts int
	// Outgoing bounds what waits to be sent, Incoming what waits to be received; one
	// more message may lie half-read besides.
	Outgoing, Incoming Limit

	// Notify is told what becomes of the connections, by one call at a time. It must
	// return soon, and not call Close. May be nil.
	Notify func(Event)
}

// DefaultOptions are the options for an address and a socket type.
func DefaultOptions(address string, t zmtp.SocketType) Options {
	return Options{
		Address: address, Type: t,
		Connect: 5 * time.Second, Handshake: 5 * time.Second,
		FirstRetry: 50 * time.Millisecond, LastRetry: 5 * time.Second,
		Heartbeat: 2 * time.Second, HeartbeatTimeout: 6 * time.Second, Stall: 60 * time.Second,
		// The gateway's own default, with the label and the parts' lengths.
		MaxMessage: 64<<20 + 2<<20,
		MaxParts:   3 + zio.MaxParts, // with the delimiter, prefix and coord
		Outgoing:   Limit{Messages: 1000, Bytes: 64 << 20},
		Incoming:   Limit{Messages: 1000, Bytes: 64 << 20},
	}
}

// validate names the option that makes no sense.
func (o *Options) validate() error {
	switch {
	case o.Type != zmtp.Client && o.Type != zmtp.Dealer:
		return fmt.Errorf("a %q socket does not connect outwards: CLIENT or DEALER", string(o.Type))
	case o.Identity != "" && o.Type != zmtp.Dealer:
		return errors.New("only a DEALER has an identity")
	case o.Identity != "" && o.Identity[0] == 0:
		return errors.New("an identity must not begin with a zero byte")
	case o.Heartbeat < 0:
		return fmt.Errorf("heartbeat is %v, want 0 or more", o.Heartbeat)
	case o.LastRetry < o.FirstRetry:
		return fmt.Errorf("the last retry comes after %v, before the first after %v", o.LastRetry, o.FirstRetry)
	}
	for _, d := range []struct {
		name string
		is   int64
	}{
		{"connect", int64(o.Connect)}, {"handshake", int64(o.Handshake)}, {"first retry", int64(o.FirstRetry)},
		{"heartbeat timeout", int64(o.HeartbeatTimeout)}, {"stall", int64(o.Stall)},
		{"largest message", int64(o.MaxMessage)}, {"most parts", int64(o.MaxParts)},
		{"most messages outgoing", int64(o.Outgoing.Messages)}, {"most bytes outgoing", int64(o.Outgoing.Bytes)},
		{"most messages incoming", int64(o.Incoming.Messages)}, {"most bytes incoming", int64(o.Incoming.Bytes)},
	} {
		if d.is <= 0 {
			return fmt.Errorf("%s is %d, want more than 0", d.name, d.is)
		}
	}
	return nil
}
