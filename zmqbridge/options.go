// Package zmqbridge attaches ZeroMQ peers to the broker: CLIENT sockets through
// SERVER endpoints, DEALER sockets through ROUTER endpoints. It speaks ZMTP itself,
// one goroutine for each connection.
package zmqbridge

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/internal/logs"
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
	// ServerSockets and RouterSockets are listeners that are bound already; they take the
	// place of the addresses. The engine libzmq takes none.
	ServerSockets, RouterSockets []net.Listener
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
	// PressedStall is the same while the broker's budget is used up, if it is shorter. Above 0.
	PressedStall time.Duration
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
		PressedStall:     5 * time.Second,
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
		{"pressed-stall", int64(o.PressedStall)},
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
	case o.Engine == "libzmq" && len(o.ServerSockets)+len(o.RouterSockets) > 0:
		return errors.New("zmq-engine: libzmq takes no sockets that somebody else has bound: zmtp does")
	}
	return nil
}
