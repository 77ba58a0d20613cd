package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/peerconn"
	"github.com/zioflow/gateway/zre/nodes"
)

// PeersOptions configure a Peers.
type PeersOptions struct {
	// Table is what the node says of its listeners and its added routes.
	Table func() []*gatewayv1.ReadTableResponse
	// Alive is a context that ends when the node of that id is not there any more, or ctx
	// does; its cause says why in words.
	Alive func(ctx context.Context, nodeID string) (context.Context, context.CancelFunc)
	// TLS encrypts the connections, and has to see to it that only nodes connect; nil for
	// clear text.
	TLS *tls.Config
	// Stall and Grace are as in Options.
	Stall, Grace time.Duration
	// Process is what operators at other nodes steer; nil for nothing. Nodes is what
	// discovery knows of others; nil for none.
	Process admin.Process
	Nodes   *nodes.Table
	// Routes are those that operators at other nodes may add.
	Routes admin.RouteOptions
	// Log takes what goes wrong; nil for none.
	Log *slog.Logger
}

// Peers serves the other nodes of a cluster: ClusterService, and of AdminService what
// admin.NodesMayCall says.
type Peers struct {
	stopped context.CancelFunc // ends what watches
	grpc    *grpc.Server
	conns   *nodeConns
	streams sync.WaitGroup // goroutines that outlive their stream's handler
}

// NewPeers makes a server that is not listening yet.
func NewPeers(b *broker.Broker, o PeersOptions) *Peers {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	limits, lines, counters := b.Options(), logs.NewSampler(o.Log, logs.Options{}), newCounters(prometheus.NewRegistry())
	all := []interceptor{noteNodes(), boundStatuses(), recoverCalls(lines, counters), checkCalls(nodesMay)}
	stop, stopped := context.WithCancel(context.Background())
	p := &Peers{stopped: stopped, conns: newNodeConns(o.Log)}
	p.grpc = grpc.NewServer(append(peerconn.ServerOptions(o.TLS != nil),
		grpc.Creds(&toldPeers{peerconn.Credentials(o.TLS), p.conns}),
		grpc.ForceServerCodecV2(codec.New()),
		experimental.BufferPool(new(codec.FramePool)),
		grpc.ChainUnaryInterceptor(chainUnary(all)), grpc.ChainStreamInterceptor(chainStream(all)),
		grpc.MaxRecvMsgSize(limits.MaxMessage+headRoom), grpc.MaxSendMsgSize(limits.MaxMessage+headRoom),
		grpc.MaxConcurrentStreams(uint32(min(2*limits.MaxFlows+1000, math.MaxInt32))),
		grpc.MaxHeaderListSize(maxHeaderBlock),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)...)
	gatewayv1.RegisterClusterServiceServer(p.grpc, &carryService{
		flowService: flowService{
			broker: b, log: lines, counters: counters, streams: &p.streams,
			stall: cmp.Or(o.Stall, defaultStall), grace: cmp.Or(o.Grace, defaultGrace),
		},
		table: o.Table, alive: o.Alive,
	})
	if o.Process != nil {
		if o.Nodes == nil {
			o.Nodes = nodes.NewTable()
		}
		gatewayv1.RegisterAdminServiceServer(p.grpc, admin.New(stop, b, admin.Options{
			Process: o.Process, Routes: o.Routes, Nodes: o.Nodes, Caller: admin.Operator, Log: o.Log,
		}))
	}
	return p
}

// nodesMay refuses what a node does not ask of others.
func nodesMay(_ context.Context, fullMethod string) error {
	if isOf(fullMethod, gatewayv1.AdminService_ServiceDesc.ServiceName) && !admin.NodesMayCall(fullMethod) {
		return status.Error(codes.PermissionDenied, "not allowed: a node does not ask this of another")
	}
	return nil
}

// Serve accepts connections until Stop; nil after Stop.
func (p *Peers) Serve(l net.Listener) error { return serve(p.grpc, l) }

// Stop waits for the streams that there are until the context ends, and closes the
// connections. One by which nothing is left to be said is not waited for, beyond a moment.
func (p *Peers) Stop(ctx context.Context) {
	p.stopped()
	defer context.AfterFunc(ctx, p.grpc.Stop)()
	p.conns.leave()
	p.grpc.GracefulStop()
	p.streams.Wait()
}

// toldPeers keeps the connections of nodes, and tells of those who are none.
type toldPeers struct {
	credentials.TransportCredentials
	conns *nodeConns
}

// Clone implements credentials.TransportCredentials.
func (c *toldPeers) Clone() credentials.TransportCredentials {
	return &toldPeers{c.TransportCredentials.Clone(), c.conns}
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *toldPeers) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.conns.handshake(conn, c.TransportCredentials.ServerHandshake)
}
