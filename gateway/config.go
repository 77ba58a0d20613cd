package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/internal/memory"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/telemetry"
)

// Config is what a gateway is made of. It is plain: nothing in it is opened before New.
//
// Every field has an option of `gateway serve`, whose help says more; errors name the
// options. Those marked (reload) can be changed by Gateway.Reload.
type Config struct {
	ZMQ      ZMQ
	GRPC     GRPC
	HTTP     HTTP
	Node     Node
	Routing  Routing
	Security Security

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

	// Reread returns the configuration as it is now, for Gateway.Reload; nil where it
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
	// Address is HOST:PORT; empty for none.
	Address string
	// Keepalive is how often a silent connection is asked whether its peer is there,
	// and KeepaliveTimeout how long it may take to answer.
	Keepalive, KeepaliveTimeout time.Duration
	// RateLimits bound the calls that begin (reload).
	RateLimits server.RateLimits
}

// HTTP configures the endpoint for health checks and metrics.
type HTTP struct {
	// Address is HOST:PORT; empty for none.
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

// DefaultConfig is the configuration of a gateway that nobody has configured: on
// loopback, at the ports that the README names.
func DefaultConfig() Config {
	return Config{
		ZMQ: ZMQ{
			Servers: []string{"tcp://127.0.0.1:5555"}, Routers: []string{"tcp://127.0.0.1:5556"}, Engine: "zmtp",
			Heartbeat: 2 * time.Second, HeartbeatTimeout: 6 * time.Second,
		},
		GRPC:         GRPC{Address: "127.0.0.1:7575", Keepalive: 20 * time.Second, KeepaliveTimeout: time.Minute},
		HTTP:         HTTP{Address: "127.0.0.1:7576"},
		Node:         Node{Name: "zio-gateway", PortName: "flow"},
		Routing:      Routing{MaxProcesses: spawn.DefaultOptions().MaxProcesses},
		Security:     Security{TLSMinVersion: "1.3"},
		Limits:       unlimitedBytes(broker.DefaultOptions()),
		StallTimeout: time.Minute,
		Version:      "unknown",
	}
}

// unlimitedBytes leaves the bounds of bytes to the machine.
func unlimitedBytes(o broker.Options) broker.Options {
	o.MaxBytes, o.MaxFlowBytes = 0, 0
	return o
}

// Validate names the first option that makes no sense, or is not safe. It reads none of the files
// that are named.
func (c *Config) Validate() error {
	if err := errors.Join(c.limits().Validate(), c.validateTelemetry()); err != nil {
		return err
	}
	for _, d := range []struct {
		option string
		value  time.Duration
	}{
		{"stall-timeout", c.StallTimeout}, {"keepalive", c.GRPC.Keepalive}, {"keepalive-timeout", c.GRPC.KeepaliveTimeout},
	} {
		if d.value <= 0 {
			return fmt.Errorf("%s is %v, want more than 0", d.option, d.value)
		}
	}
	if c.Routing.MaxProcesses < 1 {
		return fmt.Errorf("max-processes is %d, want more than 0", c.Routing.MaxProcesses)
	}
	if c.DrainGrace < 0 {
		return fmt.Errorf("drain-grace is %v, want 0 or more", c.DrainGrace)
	}
	for _, check := range []func() error{c.validateZMQ, c.validateNode, c.Security.validate, c.validateReach} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validateTelemetry names the option that makes no sense.
func (c *Config) validateTelemetry() error {
	for _, rate := range []struct {
		option string
		value  float64
	}{{"grpc-rate-limit", c.GRPC.RateLimits.Total}, {"grpc-peer-rate-limit", c.GRPC.RateLimits.Peer}} {
		if !(rate.value >= 0) { // nor is it NaN
			return fmt.Errorf("%s is %v, want 0 or more", rate.option, rate.value)
		}
	}
	return telemetry.ExportOptions{Endpoint: c.OTLPEndpoint}.Validate()
}

// limits are the broker's, with what the machine decides.
func (c *Config) limits() broker.Options {
	o := c.Limits
	if o.MaxBytes == 0 {
		o.MaxBytes = max(halfOfMemory(), int64(o.MaxMessage))
	}
	if o.MaxFlowBytes == 0 {
		o.MaxFlowBytes = o.MaxBytes
	}
	return o
}

// halfOfMemory is half of what the gateway may use; the broker's own default where
// that can't be known.
func halfOfMemory() int64 {
	if limit := memory.Limit(); limit > 0 {
		return limit / 2
	}
	return broker.DefaultOptions().MaxBytes
}

// Chosen is a list of addresses without the word "none", which stands for no address.
func Chosen(addresses ...string) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return a == "none" || a == "" })
}
