// Package server offers the broker over gRPC. It is the only place that knows
// both the broker and the generated contract.
package server

import (
	"cmp"
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
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/reflection"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/conns"
	"github.com/zioflow/gateway/zre/nodes"
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
	// Stall is how long a stream may take nothing while something waits for it; then its
	// flow ends and the stream is aborted. 0 stands for 1 min.
	Stall time.Duration
	// Grace is how long a stream that has closed its sending half without an EOT must
	// stay before that counts as one. 0 stands for 250 ms.
	Grace time.Duration
	// MaxAge is how old a connection may become, give or take a tenth; then its peer is
	// asked to go on by another one. AgeGrace is how long its calls may go on after
	// that, in which they are cut. 0 is for ever, of either.
	MaxAge, AgeGrace time.Duration
	// Process is what the AdminService steers; nil for no AdminService.
	Process admin.Process
	// RateLimits bound the calls that begin.
	RateLimits RateLimits
	// Registry takes the server's metrics; nil for none.
	Registry prometheus.Registerer
	// Routes makes the routes that operators add.
	Routes admin.RouteOptions
	// Nodes is what discovery knows of others; nil for none.
	Nodes *nodes.Table
	// Access decides who may call what; nil lets everybody call everything.
	Access *access.Policy
	// PublicReflection lets everybody ask for the contract, also with Access.
	PublicReflection bool
	// PublicAdmin lets callers on other machines call what is for operators, where Access
	// is nil; otherwise only those on this machine may.
	PublicAdmin bool
	// DenialLog takes denials of those; nil for the log alone.
	DenialLog *access.DenialLog
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
		KeepaliveTimeout: defaultStall, // who is too busy to read cannot answer
		Stall:            defaultStall,
		Grace:            defaultGrace,
		Log:              slog.New(slog.DiscardHandler),
	}
}

const (
	defaultStall = time.Minute
	defaultGrace = 250 * time.Millisecond
)

// HeadRoom is headRoom for who receives from here.
const HeadRoom = headRoom

// headRoom is how much longer than its payload a message may be: its label and
// the encoding.
const headRoom = 64 << 10

// How much a peer may send ahead of what is read: on a stream, besides the message
// that is being read, and on a connection. gRPC's own estimate goes up to 16 MiB for
// every stream, of memory that nobody has paid for, and asks the peer for its
// round trip every few messages.
const (
	streamWindow     = 512 << 10
	connectionWindow = 4 << 20
)

// Server is the gRPC server with its services.
type Server struct {
	grpc    *grpc.Server
	health  *health.Server
	serving serving
	guests  *crowd.Crowd
	conns   *conns.Table
	limiter *limiter
	stop    context.Context // ends when listeners have to go
	stopped context.CancelFunc
	streams *sync.WaitGroup // goroutines that outlive their stream's handler
}

// New makes a server that is not listening yet.
func New(b *broker.Broker, o Options) *Server { return newServer(b, o, new(codec.FramePool)) }

// newServer is New with a pool for the frames that are read.
func newServer(b *broker.Broker, o Options, frames mem.BufferPool) *Server {
	stop, stopped := context.WithCancel(context.Background())
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Stall, o.Grace = cmp.Or(o.Stall, defaultStall), cmp.Or(o.Grace, defaultGrace)
	counters, limiter, lines := newCounters(o.Registry), newLimiter(o.RateLimits), logs.NewSampler(o.Log, logs.Options{})
	guests := crowd.New(o.crowd())
	watchCrowd(guests, o.Registry)
	door, credentials := o.security()
	allowed := newAllowances(b.Options().MaxFlows)
	table := conns.NewTable(conns.Options{
		Log: logs.NewSampler(o.Log, foreignLines), Cut: counters.cutConnection, MaxHeaders: maxHeaders, Stop: stop,
	})
	s := &Server{
		health: health.NewServer(), guests: guests, conns: table, limiter: limiter,
		stop: stop, stopped: stopped,
		streams: new(sync.WaitGroup),
	}
	in := &registrar{
		chain: newChain(lines, counters, o.entrance(door), limiter, allowed), counters: counters, allowed: allowed,
		stop: stop, readers: s.streams, stall: o.Stall,
	}
	s.grpc = grpc.NewServer(
		grpc.Creds(&crowdCredentials{&sniffingCredentials{credentials, logs.NewSampler(o.Log, foreignLines), counters}, guests, table}),
		grpc.InTapHandle(in.tap),
		grpc.UnknownServiceHandler(in.unknown),
		grpc.ForceServerCodecV2(codec.New()),
		experimental.BufferPool(frames),
		grpc.MaxRecvMsgSize(o.MaxMessage+headRoom),
		grpc.MaxSendMsgSize(o.MaxMessage+headRoom),
		grpc.MaxConcurrentStreams(o.MaxStreams),
		grpc.MaxHeaderListSize(maxHeaderBlock),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: o.Keepalive, Timeout: o.KeepaliveTimeout, MaxConnectionIdle: maxIdle,
			MaxConnectionAge: o.MaxAge, MaxConnectionAgeGrace: o.AgeGrace,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	in.Server = s.grpc
	gatewayv1.RegisterFlowServiceServer(in, &flowService{broker: b, log: lines, counters: counters, streams: s.streams, stall: o.Stall, grace: o.Grace})
	gatewayv1.RegisterHandlerServiceServer(in, &handlerService{broker: b, stop: stop, log: lines, stall: o.Stall})
	if o.Nodes == nil {
		o.Nodes = nodes.NewTable()
	}
	if o.Process != nil {
		gatewayv1.RegisterAdminServiceServer(in, &admin.View{Service: admin.New(stop, b, admin.Options{
			Process: o.Process, Routes: o.Routes, Nodes: o.Nodes, Caller: peerInfo, Log: o.Log,
		})})
	}
	healthpb.RegisterHealthServer(in, s.health)
	reflection.Register(in)
	channelz.RegisterChannelzServiceToServer(in)
	for service := range s.grpc.GetServiceInfo() {
		s.health.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	}
	return s
}

// maxIdle is how long a connection may be without any call.
const maxIdle = 30 * time.Second

// crowd bounds the connections. One that is known has a flow, as a rule.
func (o Options) crowd() crowd.Limits {
	return crowd.Limits{
		Strangers: 256, Known: int(o.MaxStreams), Patience: 10 * time.Second, Calls: 50, Burst: 200,
	}
}

// SetRateLimits replaces the limits on the calls that begin.
func (s *Server) SetRateLimits(limits RateLimits) { s.limiter.set(limits) }

// security is the gatekeeper, nil if everybody may call everything, and how to connect.
func (o Options) security() (door *gatekeeper, how credentials.TransportCredentials) {
	if o.Access != nil {
		door = &gatekeeper{o.Access, o.PublicReflection}
	}
	if o.TLS != nil {
		return door, o.TLS.credentials(o.Access)
	}
	return door, insecure.NewCredentials()
}

// entrance lets calls in: by the gatekeeper or, where there is none, by where they come
// from.
func (o Options) entrance(door *gatekeeper) entrance {
	e := entrance{gatekeeper: door}
	switch {
	case door != nil:
		e.check = new(door.interceptor())
	case !o.PublicAdmin:
		denials := o.DenialLog
		if denials == nil {
			denials = access.NewDenialLog(o.Log, nil)
		}
		e.check = new(checkCalls((&localOnly{denials}).check))
	}
	return e
}

// Serve accepts connections until Stop; nil after Stop.
func (s *Server) Serve(l net.Listener) error { return serve(s.grpc, l) }

func serve(s *grpc.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil // was stopped before it began
}

// Drain tells health checks, of the server and of each service, that nothing new
// should come here, and peers that have no flow here, or none any more, to go elsewhere.
func (s *Server) Drain() {
	s.serving.change(s.health, func(now *serving) { now.draining = true })
	s.conns.Drain()
}

// Undrain tells them that it may come again.
func (s *Server) Undrain() {
	s.serving.change(s.health, func(now *serving) { now.draining = false })
	s.conns.Undrain()
}

// Ready tells health checks whether new peers may come, but for a drain; at first they may.
func (s *Server) Ready(ready bool) {
	s.serving.change(s.health, func(now *serving) { now.unready = !ready })
}

// serving is what health checks are told.
type serving struct {
	mu                sync.Mutex
	draining, unready bool // guarded by mu
	not               bool // guarded by mu; what was told last
}

// change changes it, and tells who asks for the health of the server or of any service.
func (s *serving) change(health *health.Server, change func(now *serving)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
	not := s.draining || s.unready
	switch {
	case not == s.not:
	case not:
		health.Shutdown()
	default:
		health.Resume()
	}
	s.not = not
}

// Stop ends the listeners' streams and those of watchers, waits for all others until the
// context ends, and closes the connections. The broker should have been closed: then
// every flow's stream ends by itself. A connection that has carried no flow is not waited
// for, beyond a moment.
func (s *Server) Stop(ctx context.Context) {
	s.stopped()
	defer context.AfterFunc(ctx, s.grpc.Stop)()
	wait := s.conns.Leave()
	s.grpc.GracefulStop()
	s.streams.Wait()
	wait()
}
