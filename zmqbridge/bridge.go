// Package zmqbridge attaches ZeroMQ peers to the broker: CLIENT sockets through
// SERVER endpoints, DEALER sockets through ROUTER endpoints. It speaks ZMTP itself,
// one goroutine for each connection.
package zmqbridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/zmtp"
)

// Options configure a bridge. DefaultOptions has values for all of them but the
// addresses; Open refuses what Validate does.
type Options struct {
	// Engine is what speaks the wire protocol: "zmtp", this package, or "libzmq" if
	// the program has it. Empty for zmtp.
	Engine string
	// Servers and Routers are the addresses to bind, such as
	// "tcp://127.0.0.1:5555", "tcp://[::1]:*", "tcp://*:5555", "tcp://eth0:5555" or
	// "ipc:///run/zio/flow".
	Servers, Routers []string
	// MaxMessage is the largest payload, in bytes. Of a larger message nothing is
	// kept. At least 1.
	MaxMessage int
	// HighWater is how many messages may wait for one peer. At least 1.
	HighWater int
	// MaxConnections bounds the established connections of an endpoint,
	// MaxHandshakes those that are not yet. At least 1.
	MaxConnections, MaxHandshakes int
	// Stall is how long a peer may take no byte while bytes wait for it. Above 0.
	Stall time.Duration
	// Linger is how long Close waits for the last messages to go out; 0 for not at
	// all.
	Linger time.Duration
	// Handshake is how long a connection may take to become one. Above 0.
	Handshake time.Duration
	// Heartbeat is after how long a silence a peer is asked, at the latest, whether it
	// is there, 0 for never; HeartbeatTimeout how long it may take to answer, above 0
	// unless it is never asked. After both a frozen peer is known.
	Heartbeat, HeartbeatTimeout time.Duration
	// CurveKey is the secret key of the addresses, in Z85; empty for addresses
	// without CURVE. Access knows the peers' keys.
	CurveKey string
	Access   *access.Policy
	// PlainLocal leaves the addresses that only this machine can reach without
	// CURVE.
	PlainLocal bool
	// Log takes the bridge's log, nil for none; a line for whatever a peer may cause goes through
	// Sampler, nil for one of the bridge's own.
	Log     *slog.Logger
	Sampler *logs.Sampler
}

// DefaultOptions are the options for a broker's limits, without addresses.
func DefaultOptions(limits broker.Options) Options {
	return Options{
		MaxMessage:       limits.MaxMessage,
		HighWater:        limits.OutboxLimit(),
		MaxConnections:   20_000,
		MaxHandshakes:    1_000,
		Stall:            60 * time.Second,
		Linger:           2 * time.Second,
		Handshake:        5 * time.Second,
		Heartbeat:        2 * time.Second,
		HeartbeatTimeout: 6 * time.Second,
		Log:              slog.New(slog.DiscardHandler),
	}
}

// Validate names the first field that makes no sense. What is wrong with an address, or
// a key, is found when it is put to use.
func (o *Options) Validate() error {
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"max-message", int64(o.MaxMessage)},
		{"high-water", int64(o.HighWater)},
		{"max-connections", int64(o.MaxConnections)},
		{"max-handshakes", int64(o.MaxHandshakes)},
		{"stall-timeout", int64(o.Stall)},
		{"handshake", int64(o.Handshake)},
	} {
		if field.value < 1 {
			return fmt.Errorf("%s is %d, want more than 0", field.name, field.value)
		}
	}
	switch {
	case o.Linger < 0:
		return fmt.Errorf("linger is %v, want 0 or more", o.Linger)
	case o.Heartbeat < 0:
		return fmt.Errorf("heartbeat is %v, want 0 or more", o.Heartbeat)
	case o.Heartbeat > 0 && o.HeartbeatTimeout <= 0:
		return fmt.Errorf("heartbeat-timeout is %v, want more than 0", o.HeartbeatTimeout)
	}
	return nil
}

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

// Opener is an engine's Open.
type Opener func(*broker.Broker, Options) (Bridge, error)

// engines are those of the program.
var engines = map[string]Opener{"zmtp": open}

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

// bridge is a Bridge that speaks ZMTP itself.
type bridge struct {
	broker    *broker.Broker
	options   Options
	sampler   *logs.Sampler
	curve     atomic.Pointer[zmtp.Config] // the key in use; nil without CURVE
	lastID    atomic.Uint64               // of a connection
	endpoints []*endpoint
	servers   []string
	routers   []string
	stats     struct{ panics atomic.Uint64 }
	stopped   chan struct{} // nil unless all addresses were bound
	trimmer   sync.WaitGroup
	closing   sync.Once
	closed    error // of Close; set by closing
}

func open(b *broker.Broker, o Options) (_ Bridge, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Sampler == nil {
		o.Sampler = logs.NewSampler(o.Log, logs.Options{})
	}
	br := &bridge{broker: b, options: o, sampler: o.Sampler}
	defer func() {
		if err != nil {
			err = errors.Join(err, br.Close())
		}
	}()
	if o.CurveKey != "" {
		if err := br.setKey(o.CurveKey); err != nil {
			return nil, err
		}
	}
	if br.servers, err = br.bind(zmtp.Server, o.Servers); err != nil {
		return nil, err
	}
	if br.routers, err = br.bind(zmtp.Router, o.Routers); err != nil {
		return nil, err
	}
	stopped := make(chan struct{})
	br.stopped = stopped
	br.trimmer.Go(func() { trimSlabs(stopped) })
	for _, e := range br.endpoints {
		e.start()
	}
	return br, nil
}

// bind binds an endpoint to all the addresses.
func (b *bridge) bind(kind zmtp.SocketType, addresses []string) ([]string, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	e := newEndpoint(b, kind, b.options)
	b.endpoints = append(b.endpoints, e)
	bound := make([]string, 0, len(addresses))
	for _, address := range addresses {
		l, err := listen(address)
		if err != nil {
			return nil, fmt.Errorf("bind %s: %w", address, err)
		}
		e.listeners = append(e.listeners, l)
		bound = append(bound, l.bound)
	}
	return bound, nil
}

// setKey puts a secret key to use.
func (b *bridge) setKey(secret string) error {
	if b.options.Access == nil {
		return errors.New("CURVE needs to know whose keys to take")
	}
	key, err := access.ParseCurveKey(secret)
	if err != nil {
		return fmt.Errorf("the secret key: %w", err)
	}
	public, err := key.Public()
	if err != nil {
		return fmt.Errorf("the secret key: %w", err)
	}
	config := &zmtp.Config{Type: zmtp.Server, AsServer: true, Curve: &zmtp.CurveKeys{Public: public, Secret: key}}
	if err := config.Validate(); err != nil {
		return fmt.Errorf("the secret key: %w", err)
	}
	b.curve.Store(config)
	return nil
}

// SetCurveKey implements Bridge.
func (b *bridge) SetCurveKey(secret string) error {
	if b.options.CurveKey == "" {
		return errors.New("the addresses were opened without CURVE")
	}
	return b.setKey(secret)
}

// Servers implements Bridge.
func (b *bridge) Servers() []string { return b.servers }

// Routers implements Bridge.
func (b *bridge) Routers() []string { return b.routers }

// Close implements Bridge. Stats goes on describing what has happened.
func (b *bridge) Close() error {
	b.closing.Do(func() { b.closed = b.close() })
	return b.closed
}

func (b *bridge) close() error {
	errs := make([]error, len(b.endpoints))
	done := make(chan struct{}, len(b.endpoints))
	for i, e := range b.endpoints {
		go func() { errs[i] = e.stop(); done <- struct{}{} }()
	}
	for range b.endpoints {
		<-done
	}
	if b.stopped != nil {
		close(b.stopped)
		b.stopped = nil
	}
	b.trimmer.Wait()
	return errors.Join(errs...)
}

// line writes a line about what happens at an endpoint, by nobody in particular.
func (b *bridge) line(e *endpoint, level slog.Level, kind, message string, attributes ...any) {
	attributes = append([]any{"endpoint", e.front}, attributes...)
	b.sampler.Log(context.Background(), level, "zmq "+kind, logs.Peer{}, message, attributes...)
}
