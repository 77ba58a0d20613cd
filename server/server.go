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

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/zioflow/gateway/access"
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
	// Access decides who may call what; nil lets everybody call everything.
	Access *access.Policy
	// PublicReflection lets everybody ask for the contract, also with Access.
	PublicReflection bool
	// TLS encrypts the connections; nil leaves them in clear text.
	TLS *TLS
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
	stop    context.Context // ends when listeners have to go
	stopped context.CancelFunc
	streams *sync.WaitGroup // goroutines that outlive their stream's handler
}

// New makes a server that is not listening yet.
func New(b *broker.Broker, o Options) *Server {
	stop, stopped := context.WithCancel(context.Background())
	s := &Server{
		grpc: grpc.NewServer(append(o.security(),
			grpc.MaxRecvMsgSize(o.MaxMessage+headRoom),
			grpc.MaxSendMsgSize(o.MaxMessage+headRoom),
			grpc.MaxConcurrentStreams(o.MaxStreams),
			grpc.MaxHeaderListSize(16<<10),
			grpc.ConnectionTimeout(10*time.Second),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: o.Keepalive, Timeout: o.KeepaliveTimeout}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		)...),
		health: health.NewServer(),
		stop:   stop, stopped: stopped,
		streams: new(sync.WaitGroup),
	}
	gatewayv1.RegisterFlowServiceServer(s.grpc, &flowService{broker: b, log: o.Log, streams: s.streams})
	gatewayv1.RegisterHandlerServiceServer(s.grpc, &handlerService{broker: b, stop: stop})
	if o.Process != nil {
		gatewayv1.RegisterAdminServiceServer(s.grpc, &adminService{broker: b, process: o.Process})
	}
	healthpb.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	return s
}

// security are the options for who may connect and call.
func (o Options) security() []grpc.ServerOption {
	var options []grpc.ServerOption
	if o.TLS != nil {
		options = append(options, grpc.Creds(o.TLS.credentials(o.Access)))
	}
	if o.Access != nil {
		g := &gatekeeper{o.Access, o.PublicReflection}
		options = append(options, g.options()...)
	}
	return options
}

// Serve accepts connections until Stop; nil after Stop.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil // was stopped before it began
}

// Drain tells health checks that nothing new should come here.
func (s *Server) Drain() { s.health.Shutdown() }

// Stop ends the listeners' streams, waits for all others until the context
// ends, and closes the connections. The broker should have been closed: then
// every flow's stream ends by itself.
func (s *Server) Stop(ctx context.Context) {
	s.stopped()
	defer context.AfterFunc(ctx, s.grpc.Stop)()
	s.grpc.GracefulStop()
	s.streams.Wait()
}
