package zmqbridge

import (
	"errors"
	"fmt"

	"github.com/zioflow/gateway/broker"
)

// Bridge is a set of bound endpoints.
type Bridge interface {
	// Servers and Routers are the bound addresses of the two kinds of endpoint, with
	// the real ports.
	Servers() []string
	Routers() []string
	// SetCurveKey puts another secret key to use, for connections from now on. An
	// engine that cannot returns an error, and so does one that was opened without a
	// key.
	SetCurveKey(secret string) error
	// Stats describes the endpoints as they are now. An engine may leave out what it
	// does not know.
	Stats() []Stats
	// Panics counts the connections that an error of the bridge's own has ended.
	Panics() uint64
	// Close stops reading, sends what is queued for as long as Linger allows, and
	// closes the connections. The broker must not have active flows any more.
	Close() error
}

// Stats is what has happened at an endpoint since it was opened, and what it holds.
type Stats struct {
	// Endpoint is "zmq-server" or "zmq-router".
	Endpoint string
	// Connections are those that are established, Handshaking those that begin.
	Connections, Handshaking int
	// Handshakes counts by outcome, Ended the connections that have ended by cause.
	Handshakes, Ended map[string]uint64
	// BytesIn and BytesOut are what was read and written.
	BytesIn, BytesOut uint64
	// OutboxMessages and OutboxBytes wait to be written, by weight.
	OutboxMessages, OutboxBytes int64
	// TooLarge counts the messages that were not kept for their size.
	TooLarge uint64
}

// Opener is an engine's Open.
type Opener func(*broker.Broker, Options) (Bridge, error)

// engines are those of the program.
var engines = map[string]Opener{"zmtp": openZMTP}

// Register makes an engine known by its name. It is called by the engine's package,
// when that is initialised.
func Register(name string, opener Opener) { engines[name] = opener }

// Open binds the addresses and serves the peers that connect to them, until Close.
func Open(b *broker.Broker, o Options) (Bridge, error) {
	if o.Engine == "" {
		o.Engine = "zmtp"
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("the ZeroMQ options: %w", err)
	}
	opener := engines[o.Engine]
	switch {
	case opener != nil:
		return opener(b, o)
	case o.Engine == "libzmq":
		return nil, errors.New("this program was built without libzmq: the engine needs cgo and the build tag libzmq")
	}
	return nil, fmt.Errorf("there is no ZeroMQ engine %q: zmtp or libzmq", o.Engine)
}
