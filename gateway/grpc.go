package gateway

import (
	"context"
	"fmt"
	"net"

	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/server/admin"
)

// grpcFront serves programs without ZeroMQ, and operators.
type grpcFront struct {
	server    *server.Server
	endpoints []admin.Endpoint
}

func grpcTransport() transport {
	return transport{
		name: transportGRPC, front: "grpc", option: "--grpc", local: isLocal,
		configured: func(c *Config) []string { return Chosen(c.GRPC.Address) },
		encrypted:  func(c *Config) bool { return c.Security.TLSCert != "" },
		asks:       func(c *Config) bool { return c.Security.Identities != "" },
		security:   func(c *Config) string { return c.Security.tlsWord() },
		want:       "--tls-cert, --tls-key and --identities secure it",
	}
}

// openGRPC serves gRPC.
func openGRPC(g *Gateway, c *Config) (Front, error) {
	t := grpcTransport()
	if len(t.configured(c)) == 0 {
		return nil, nil
	}
	listener, err := net.Listen("tcp", c.GRPC.Address)
	if err != nil {
		return nil, fmt.Errorf("grpc: %w", err)
	}
	o := server.DefaultOptions(g.broker.Options())
	o.Keepalive, o.KeepaliveTimeout, o.Log = c.GRPC.Keepalive, c.GRPC.KeepaliveTimeout, g.log
	o.Process, o.Stall = g, c.StallTimeout
	o.RateLimits, o.Registry = c.GRPC.RateLimits, g.instruments.metrics.Registry()
	o.Routes = admin.RouteOptions{Maker: g.routeMaker(), AllowExec: c.Routing.AllowExec}
	o.Nodes = g.nodes
	o.Access, o.TLS, o.PublicReflection = g.guard.policy, g.guard.tls, c.Security.PublicReflection
	o.DenialLog, o.PublicAdmin = g.guard.denials, c.Security.Insecure.Admin
	f := &grpcFront{server.New(g.broker, o), t.endpoints(c, []string{boundAddress(listener, c.GRPC.Address)})}
	g.grpc = f.server
	go g.watch("grpc", func() error { return f.server.Serve(listener) })
	return f, nil
}

// Endpoints implements Front.
func (f *grpcFront) Endpoints() []admin.Endpoint { return f.endpoints }

// Drain implements Front: health checks of gRPC say NOT_SERVING.
func (f *grpcFront) Drain() { f.server.Drain() }

// Undrain implements Front.
func (f *grpcFront) Undrain() { f.server.Undrain() }

// Close implements Front.
func (f *grpcFront) Close(ctx context.Context) error {
	f.server.Stop(ctx)
	return nil
}

// reloadRates changes how many calls may begin.
func (g *Gateway) reloadRates(next *Config) (apply func() []string, err error) {
	return func() []string {
		if g.grpc != nil {
			g.grpc.SetRateLimits(next.GRPC.RateLimits)
		}
		return nil
	}, nil
}
