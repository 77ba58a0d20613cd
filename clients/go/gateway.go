package zioflow

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Gateway is a client of one gateway. All its methods may be called
// concurrently.
type Gateway struct {
	flows    gatewayv1.FlowServiceClient
	handlers gatewayv1.HandlerServiceClient
	admin    gatewayv1.AdminServiceClient
	limit    int // of a message's encoding, in bytes
	calls    []grpc.CallOption
	conn     io.Closer // nil if it is somebody else's
	address  string    // for its user; may be unknown

	mu      sync.Mutex
	closed  bool                                  // guarded by mu
	scopes  map[*context.CancelCauseFunc]struct{} // guarded by mu; of the calls under way
	readers sync.WaitGroup                        // added to with mu held, and only until closed
}

// Dial makes a gateway for a gRPC target such as "127.0.0.1:7575". It does not
// wait for the connection: what is wrong with that is seen by the first call.
// Without WithTLS or WithTransportCredentials the connection is not encrypted.
func Dial(target string, opts ...DialOption) (*Gateway, error) {
	s := newDialSettings(opts)
	if err := s.check(target); err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target, s.grpcOptions()...)
	if err != nil {
		return nil, err
	}
	g := newGateway(conn, s.settings)
	g.conn = conn
	g.address = target
	return g, nil
}

// NewGateway makes a gateway for a connection that stays the caller's: Close
// leaves it open.
func NewGateway(conn grpc.ClientConnInterface, opts ...Option) *Gateway {
	return newGateway(conn, newSettings(opts))
}

func newGateway(conn grpc.ClientConnInterface, s settings) *Gateway {
	return &Gateway{
		flows:    gatewayv1.NewFlowServiceClient(conn),
		handlers: gatewayv1.NewHandlerServiceClient(conn),
		admin:    gatewayv1.NewAdminServiceClient(conn),
		limit:    s.limit(),
		address:  "its address",
		calls: []grpc.CallOption{
			grpc.MaxCallSendMsgSize(s.limit()),
			grpc.MaxCallRecvMsgSize(s.limit()),
		},
		scopes: map[*context.CancelCauseFunc]struct{}{},
	}
}

// Close aborts every flow and call that was begun with g, waits for the flows'
// goroutines, and closes the connection if Dial made it. A Handle returns soon
// after, when its handlers have. Closing again does nothing.
func (g *Gateway) Close() error {
	first := g.shut()
	g.readers.Wait()
	if !first || g.conn == nil {
		return nil
	}
	return g.conn.Close()
}

// shut ends all scopes. It answers true the first time.
func (g *Gateway) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.closed
	g.closed = true
	for cancel := range g.scopes {
		(*cancel)(ErrClosed)
	}
	return first
}

// scope is a context that ends with ctx or g, or by its own function, which has
// to be called.
func (g *Gateway) scope(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		cancel(ErrClosed)
		return ctx, cancel
	}
	g.scopes[&cancel] = struct{}{}
	return ctx, func(cause error) {
		cancel(cause)
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.scopes, &cancel)
	}
}

// run calls f in a goroutine that Close waits for; after Close it answers false.
func (g *Gateway) run(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.readers.Go(f)
	}
	return !g.closed
}
