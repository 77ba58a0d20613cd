// Package config is what a gateway is configured with: plain values, their defaults, and
// what is wrong with them.
package config

import (
	"log/slog"
	"net"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/server"
)

// Config is what a gateway is made of. It is plain: nothing in it is opened before the gateway is made.
//
// Every field has an option of `gateway serve`, whose help says more; errors name the
// options. Those marked (reload) can be changed by a reload.
type Config struct {
	ZMQ      ZMQ
	GRPC     GRPC
	HTTP     HTTP
	Node     Node
	Cluster  Cluster
	Routing  Routing
	Security Security

	// Sockets are listeners that are bound already, as a service manager hands them over,
	// by the transport's name: ServerTransport, RouterTransport, GRPCTransport or
	// HTTPTransport. They take the place of the transport's addresses, and are closed by
	// the gateway when it stops.
	Sockets map[string][]net.Listener

	// Limits are the broker's (reload). Where MaxBytes is 0, it is half of the memory
	// that the process may use; where MaxFlowBytes is 0, it is MaxBytes. Log and Denied
	// are the gateway's own; Observers come after its own.
	Limits broker.Options
	// StallTimeout is how long a peer may take no byte while something waits for it.
	StallTimeout time.Duration
	// DrainGrace is how long flows may go on once Run is to end.
	DrainGrace time.Duration
	// OTLPEndpoint is the OpenTelemetry collector to which a span of every flow is sent;
	// empty for what the environment says, which may be none.
	OTLPEndpoint string
	// OTLPProtocol is how it is spoken to, grpc or http/protobuf; empty for what the
	// environment says, and grpc if that says nothing.
	OTLPProtocol string

	// Version is what operators and metrics see as the program's.
	Version string
	// Log takes every line; nil for none. It should not make who logs wait.
	Log *slog.Logger
	// Level is the log's, which operators may change; nil if they cannot.
	Level *slog.LevelVar
	// LogLevel is what a reload sets Level to (reload).
	LogLevel slog.Level
	// LogDropped is how many lines the log has lost so far, for a metric; nil for none.
	LogDropped func() uint64

	// Reread returns the configuration as it is now, for a reload; nil where it
	// cannot change, so that a reload reads the files anew that it names. It is called
	// by one goroutine at a time.
	Reread func() (*Revision, error)
}

// Revision is a configuration that has been read anew.
type Revision struct {
	Config Config
	// Taken is called when it has been put to use. It returns in words which options
	// have changed, and which of them need a restart; nil for none.
	Taken func() (changes, needRestart []string)
	// Locate adds to an error, which begins with the name of an option, where that was
	// set; nil if that is not known.
	Locate func(err error) error
}

// ZMQ configures the endpoints for native peers.
type ZMQ struct {
	// Servers and Routers are the addresses for CLIENT and for DEALER sockets, such as
	// "tcp://127.0.0.1:5555" or "ipc:///run/zio"; none for no such endpoint.
	Servers, Routers []string
	// Engine is what speaks ZeroMQ: "zmtp", or "libzmq" where the program has
	// zmqbridge/libzmq.
	Engine string
	// Heartbeat is how often a silent peer is asked whether it is there, 0 for never,
	// and HeartbeatTimeout how long it may take to answer.
	Heartbeat, HeartbeatTimeout time.Duration
}

// GRPC configures the endpoint for gRPC.
type GRPC struct {
	// Addresses are HOST:PORT, or unix:PATH; none for no such endpoint. The host localhost
	// stands for both 127.0.0.1 and [::1], as far as the machine has them.
	Addresses []string
	// Keepalive is how often a silent connection is asked whether its peer is there,
	// and KeepaliveTimeout how long it may take to answer.
	Keepalive, KeepaliveTimeout time.Duration
	// MaxConnectionAge is how old a connection may become before its peer is asked to go
	// on by another one, and MaxConnectionAgeGrace how long its calls may go on after
	// that. 0 is for ever, of either.
	MaxConnectionAge, MaxConnectionAgeGrace time.Duration
	// RateLimits bound the calls that begin (reload).
	RateLimits server.RateLimits
}

// HTTP configures the endpoint for health checks and metrics.
type HTTP struct {
	// Address is HOST:PORT or unix:PATH, as in GRPC; empty for none.
	Address string
}

// Routing configures how handlers are found.
type Routing struct {
	// Routes are tried in this order, within a priority (reload).
	Routes []routes.Spec
	// Default has the built-in handlers serve what nothing else takes.
	Default bool
	// MaxProcesses is how many commands of exec routes may run at once (reload).
	MaxProcesses int
	// AllowExec lets operators add routes that start commands.
	AllowExec bool
}
