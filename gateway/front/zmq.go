package front

import (
	"context"
	"fmt"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/telemetry"
	"github.com/zioflow/gateway/zmqbridge"
)

// zmqFront serves native peers.
type zmqFront struct {
	bridge    zmqbridge.Bridge
	endpoints []admin.Endpoint
}

// openZMQ serves the ZeroMQ addresses.
func openZMQ(h *Host, c *config.Config) (Front, error) {
	o := zmqbridge.DefaultOptions(h.Broker.Options())
	servers, routers := config.TransportOf(config.ServerTransport), config.TransportOf(config.RouterTransport)
	o.Engine, o.Servers, o.Routers, o.Log = c.ZMQ.Engine, servers.Configured(c), routers.Configured(c), h.Log
	o.Heartbeat, o.HeartbeatTimeout, o.Stall = c.ZMQ.Heartbeat, c.ZMQ.HeartbeatTimeout, c.StallTimeout
	o.Access, o.PlainLocal = h.Guard.Policy, c.Security.PlainLocal
	o.ServerSockets, o.RouterSockets = c.Sockets[servers.Name], c.Sockets[routers.Name]
	if len(o.Servers)+len(o.Routers) == 0 {
		return nil, nil
	}
	f := new(zmqFront)
	err := h.Guard.Curve.Open(func(secret string) (_ func(string) error, err error) {
		o.CurveKey = secret
		if f.bridge, err = zmqbridge.Open(h.Broker, o); err != nil {
			return nil, err
		}
		return f.bridge.SetCurveKey, nil
	})
	if err != nil {
		return nil, fmt.Errorf("zmq: %w", err)
	}
	watchZMQ(h.Metrics, f.bridge)
	f.endpoints = append(servers.Endpoints(c, f.bridge.Servers()...), routers.Endpoints(c, f.bridge.Routers()...)...)
	return f, nil
}

// Endpoints implements Front.
func (f *zmqFront) Endpoints() []admin.Endpoint { return f.endpoints }

// Drain implements Front: ZIO has no word for it but the EOT with which the broker
// refuses a BOT.
func (f *zmqFront) Drain() {}

// Undrain implements Front.
func (f *zmqFront) Undrain() {}

// Ready implements Front: ZIO has no word for it.
func (f *zmqFront) Ready(bool) {}

// Reload implements Front: there is nothing that can change.
func (f *zmqFront) Reload(*config.Config) {}

// Close implements Front. The bridge's own linger bounds it.
func (f *zmqFront) Close(context.Context) error { return f.bridge.Close() }

// watchZMQ has the metrics of the ZeroMQ front read from the bridge.
func watchZMQ(m *telemetry.Metrics, b zmqbridge.Bridge) {
	m.WatchZMQ(func() []telemetry.ZMQEndpoint {
		stats := b.Stats()
		endpoints := make([]telemetry.ZMQEndpoint, len(stats))
		for i, s := range stats {
			endpoints[i] = telemetry.ZMQEndpoint{
				Name: s.Endpoint, Connections: s.Connections, Handshaking: s.Handshaking,
				Handshakes: s.Handshakes, Ended: s.Ended, BytesIn: s.BytesIn, BytesOut: s.BytesOut,
				OutboxMessages: s.OutboxMessages, OutboxBytes: s.OutboxBytes, TooLarge: s.TooLarge,
			}
		}
		return endpoints
	}, b.Panics)
}
