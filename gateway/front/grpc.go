package front

import (
	"context"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/server/admin"
)

// grpcFront serves programs without ZeroMQ, and operators.
type grpcFront struct {
	server    *server.Server
	endpoints []admin.Endpoint
}

// openGRPC serves gRPC.
func openGRPC(h *Host, c *config.Config) (Front, error) {
	t := config.TransportOf(config.GRPCTransport)
	if len(t.Configured(c)) == 0 {
		return nil, nil
	}
	listeners, err := listen(t, c)
	if err != nil {
		return nil, err
	}
	o := server.DefaultOptions(h.Broker.Options())
	o.Keepalive, o.KeepaliveTimeout, o.Log = c.GRPC.Keepalive, c.GRPC.KeepaliveTimeout, h.Log
	o.MaxAge, o.AgeGrace = c.GRPC.MaxConnectionAge, c.GRPC.MaxConnectionAgeGrace
	o.Process, o.Stall = h.Process, c.StallTimeout
	o.RateLimits, o.Registry = c.GRPC.RateLimits, h.Metrics.Registry()
	o.Routes = admin.RouteOptions{Maker: h.Maker, AllowExec: c.Routing.AllowExec}
	o.Nodes = h.Nodes
	o.Access, o.TLS, o.PublicReflection = h.Guard.Policy, h.Guard.TLS, c.Security.PublicReflection
	o.DenialLog, o.PublicAdmin = h.Guard.Denials, c.Security.Insecure.Admin
	f := &grpcFront{server.New(h.Broker, o), t.Endpoints(c, addressesOf(listeners)...)}
	for _, l := range listeners {
		go h.Watch(t.Name, func() error { return f.server.Serve(l) })
	}
	return f, nil
}

// Endpoints implements Front.
func (f *grpcFront) Endpoints() []admin.Endpoint { return f.endpoints }

// Drain implements Front: health checks of gRPC say NOT_SERVING, and peers are sent
// elsewhere.
func (f *grpcFront) Drain() { f.server.Drain() }

// Undrain implements Front.
func (f *grpcFront) Undrain() { f.server.Undrain() }

// Ready implements Front: health checks of gRPC say whether it serves.
func (f *grpcFront) Ready(ready bool) { f.server.Ready(ready) }

// Reload implements Front: it changes how many calls may begin.
func (f *grpcFront) Reload(next *config.Config) { f.server.SetRateLimits(next.GRPC.RateLimits) }

// Close implements Front.
func (f *grpcFront) Close(ctx context.Context) error {
	f.server.Stop(ctx)
	return nil
}
