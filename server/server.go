// Package server offers the broker over gRPC. It is the only place that knows
// both the broker and the generated contract.
package server

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	channelz "google.golang.org/grpc/channelz/service"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/reflection"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Options configure a Server.
type Options struct {
	// MaxMessage is the largest payload, in bytes.
	MaxMessage int
	// MaxStreams bounds the streams of one connection.
	MaxStreams uint32
	// Keepalive is how often a silent connection is asked whether its peer is
	// there, KeepaliveTimeout how long that may take to answer.
	Keepalive, KeepaliveTimeout time.Duration
	// Process is what the AdminService steers; nil for no AdminService.
	Process Process
	// RateLimits bound the calls that begin.
	RateLimits RateLimits
	// Registry takes the server's metrics; nil for none.
	Registry prometheus.Registerer
	// Routes makes the routes that operators add.
	Routes RouteOptions
	// Log takes the server's log; nil for none.
	Log *slog.Logger
}

// DefaultOptions are the options for a broker's limits.
func DefaultOptions(limits broker.Options) Options {
	return Options{
		MaxMessage: limits.MaxMessage,
		// Above the broker's own limit, which refuses with a reason: at this one
		// a caller waits.
		MaxStreams:       uint32(min(2*limits.MaxFlows, math.MaxInt32)),
		Keepalive:        20 * time.Second,
		KeepaliveTimeout: 10 * time.Second,
		Log:              slog.New(slog.DiscardHandler),
	}
}

// headRoom is how much longer than its payload a message may be: its label and
// the encoding.
const headRoom = 64 << 10

// Server is the gRPC server with its services.
type Server struct {
	grpc    *grpc.Server
	health  *health.Server
	limiter *limiter
	stop    context.Context // ends when listeners have to go
	stopped context.CancelFunc
	streams *sync.WaitGroup // goroutines that outlive their stream's handler
}

// New makes a server that is not listening yet.
func New(b *broker.Broker, o Options) *Server { return newServer(b, o, new(framePool)) }

// newServer is New with a pool for the frames that are read.
func newServer(b *broker.Broker, o Options, frames mem.BufferPool) *Server {
	stop, stopped := context.WithCancel(context.Background())
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	counters, limiter := newCounters(o.Registry), newLimiter(o.RateLimits)
	s := &Server{
		grpc: grpc.NewServer(append(chain(o.Log, counters, limiter),
			grpc.ForceServerCodecV2(newCodec()),
			experimental.BufferPool(frames),
			grpc.MaxRecvMsgSize(o.MaxMessage+headRoom),
			grpc.MaxSendMsgSize(o.MaxMessage+headRoom),
			grpc.MaxConcurrentStreams(o.MaxStreams),
			grpc.MaxHeaderListSize(16<<10),
			grpc.ConnectionTimeout(10*time.Second),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: o.Keepalive, Timeout: o.KeepaliveTimeout}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		)...),
		health: health.NewServer(), limiter: limiter,
		stop: stop, stopped: stopped,
		streams: new(sync.WaitGroup),
	}
	gatewayv1.RegisterFlowServiceServer(s.grpc, &flowService{broker: b, log: o.Log, counters: counters, streams: s.streams})
	gatewayv1.RegisterHandlerServiceServer(s.grpc, &handlerService{broker: b, stop: stop})
	if o.Process != nil {
		gatewayv1.RegisterAdminServiceServer(s.grpc, &adminService{broker: b, process: o.Process, routes: o.Routes, stop: stop})
	}
	healthpb.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	channelz.RegisterChannelzServiceToServer(s.grpc)
	for service := range s.grpc.GetServiceInfo() {
		s.health.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	}
	return s
}

// SetRateLimits replaces the limits on the calls that begin.
func (s *Server) SetRateLimits(limits RateLimits) { s.limiter.set(limits) }

// Serve accepts connections until Stop; nil after Stop.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil // was stopped before it began
}

// Drain tells health checks, of the server and of each service, that nothing new
// should come here.
func (s *Server) Drain() { s.health.Shutdown() }

// Undrain tells them that it may come again.
func (s *Server) Undrain() { s.health.Resume() }

// Stop ends the listeners' streams, waits for all others until the context
// ends, and closes the connections. The broker should have been closed: then
// every flow's stream ends by itself.
func (s *Server) Stop(ctx context.Context) {
	s.stopped()
	defer context.AfterFunc(ctx, s.grpc.Stop)()
	s.grpc.GracefulStop()
	s.streams.Wait()
}
