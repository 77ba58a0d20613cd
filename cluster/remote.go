package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/cluster/members"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/peerconn"
)

// How long a connection to a node may take, and how soon it is tried again.
const (
	pingTimeout  = time.Second
	dialTimeout  = 2 * time.Second
	redialPause  = 200 * time.Millisecond
	redialLonger = time.Second
)

// remote is another node as far as flows cross to it or from it, with the connection to it. Its
// fields are set before it is used; its methods may be called concurrently.
type remote struct {
	*home
	id    members.ID
	name  string
	ctx   context.Context  // ends when the node is there no more
	conn  *grpc.ClientConn // nil where its address makes no sense
	wrong error            // why
	came  came             // when bytes have last come on it
}

// reachedAt is where a node is reached that says it is at an address: there, but in tests that
// have something stand between.
var reachedAt = func(address string) string { return address }

// newRemote connects to a node, as soon as there is something to say.
func newRemote(h *home, of members.Node) *remote {
	r := &remote{home: h, id: of.ID, name: of.Name, ctx: h.lives.begin(of.ID)}
	r.conn, r.wrong = grpc.NewClient("passthrough:///"+of.Address, h.dialOptions(&r.came)...)
	if r.wrong == nil {
		r.conn.Connect()
	}
	return r
}

// dialOptions are how nodes are connected to; it is noted when bytes come.
func (h *home) dialOptions(note *came) []grpc.DialOption {
	limit := h.options.Broker.Options().MaxMessage + server.HeadRoom
	return append(peerconn.DialOptions(h.secure != nil),
		grpc.WithTransportCredentials(peerconn.Credentials(h.secure)), grpc.WithNoProxy(), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec.New()), grpc.MaxCallRecvMsgSize(limit), grpc.MaxCallSendMsgSize(limit)),
		experimental.WithBufferPool(new(codec.FramePool)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 20 * time.Second, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: redialPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: redialLonger},
			MinConnectTimeout: dialTimeout,
		}),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", reachedAt(address))
			if err != nil {
				return nil, err
			}
			return &notedConn{conn, note, &h.counts}, nil
		}),
	)
}

// ping has the node show that it is there: that bytes come is enough.
func (r *remote) ping() {
	if r.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, pingTimeout)
	defer cancel()
	_, _ = gatewayv1.NewClusterServiceClient(r.conn).Ping(ctx, &gatewayv1.PingRequest{})
}

// contain ends one flow on whose way something has panicked, and nothing else.
func (r *remote) contain(o routing.Offer) {
	if problem := recover(); problem != nil {
		r.log.LogAttrs(context.Background(), slog.LevelError, "carrying a flow failed",
			slog.String("node", r.name), slog.String("error", fmt.Sprint(problem)), slog.String("stack", string(debug.Stack())))
		_ = r.options.Broker.Refuse(o.CID, flow.Rejected, "the gateway failed")
	}
}
