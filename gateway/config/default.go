package config

import (
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/internal/memory"
)

// Default is the configuration of a gateway that nobody has configured: on
// loopback, at the ports that the README names.
func Default() Config {
	return Config{
		ZMQ: ZMQ{
			Servers: []string{"tcp://127.0.0.1:5555"}, Routers: []string{"tcp://127.0.0.1:5556"}, Engine: "zmtp",
			Heartbeat: 2 * time.Second, HeartbeatTimeout: 6 * time.Second,
		},
		GRPC:         GRPC{Addresses: []string{"127.0.0.1:7575"}, Keepalive: 20 * time.Second, KeepaliveTimeout: time.Minute},
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

// BrokerLimits are the Limits, with what the machine decides.
func (c *Config) BrokerLimits() broker.Options {
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
