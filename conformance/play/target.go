package play

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/zmqbridge/dial"
	"github.com/zioflow/gateway/zmtp"
)

// Target is the broker that is played against. Its fields are not changed after the first
// use; one scenario is played on it at a time, and nobody else may use it meanwhile.
type Target struct {
	// Server and Router are its ZeroMQ addresses, GRPC the one of its services; empty for
	// those that it does not have.
	Server, Router, GRPC string
	// Options are what it has been started with, of those that scenarios name.
	Options []string
	// Engine is what its ZeroMQ does where engines differ: zmtp or libzmq.
	Engine string
	// Patience is how long a step waits for what must come.
	Patience time.Duration
	// Short leaves out what waits for the broker's own deadlines.
	Short bool
	// DialNative connects a socket; nil for the gateway's own ZMTP, with the keys of Curve,
	// if there are any.
	DialNative func(kind zmtp.SocketType, address string) (Native, error)
	Curve      *zmtp.CurveKeys
	// DialOptions are for gRPC connections; nil for plaintext.
	DialOptions []grpc.DialOption

	mu      sync.Mutex
	refusal map[Transport][]byte // guarded by mu; the label with which a BOT without direction is refused
	admin   *bool                // guarded by mu; whether flows can be watched
}

func (t *Target) address(via Transport) string {
	switch via {
	case Client:
		return t.Server
	case Dealer:
		return t.Router
	default:
		return t.GRPC
	}
}

// Reach tries every address that there is, once.
func (t *Target) Reach() error {
	for _, via := range Transports() {
		if t.address(via) == "" {
			continue
		}
		if err := t.reach(via); err != nil {
			return fmt.Errorf("%s %s: %w", flagOf(via), t.address(via), err)
		}
	}
	return nil
}

func (t *Target) reach(via Transport) error {
	if via != GRPC {
		peer, err := t.dialNative(via)
		if err == nil {
			peer.leave()
		}
		return err
	}
	_, err := t.Watched()
	return err
}

// Watched tells whether the broker shows its flows: without AdminService, or without the
// right to use it, it cannot be seen why flows end.
func (t *Target) Watched() (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.admin != nil {
		return *t.admin, nil
	}
	if t.GRPC == "" {
		return false, nil
	}
	conn, err := t.connect()
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), t.Patience)
	defer cancel()
	_, err = gatewayv1.NewAdminServiceClient(conn).ListFlows(ctx, &gatewayv1.ListFlowsRequest{PageSize: 1})
	watched := err == nil
	switch status.Code(err) {
	case codes.OK, codes.Unimplemented, codes.PermissionDenied:
		t.admin = &watched
		return watched, nil
	}
	return false, err
}

// connect opens a gRPC connection of the peer's own.
func (t *Target) connect() (*grpc.ClientConn, error) {
	const most = 128 << 20
	options := []grpc.DialOption{
		grpc.WithInitialWindowSize(8 << 20), grpc.WithInitialConnWindowSize(16 << 20),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(most), grpc.MaxCallSendMsgSize(most)),
	}
	if t.DialOptions == nil {
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	return grpc.NewClient(t.GRPC, append(options, t.DialOptions...)...)
}

// dial attaches a peer.
func (t *Target) dial(via Transport) (peer, error) {
	if via != GRPC {
		return t.dialNative(via)
	}
	conn, err := t.connect()
	if err != nil {
		return nil, err
	}
	return &grpcPeer{conn: conn, patience: t.Patience, cancel: func() {}}, nil
}

func (t *Target) dialNative(via Transport) (*nativePeer, error) {
	kind := zmtp.Client
	if via == Dealer {
		kind = zmtp.Dealer
	}
	connect := t.DialNative
	if connect == nil {
		connect = t.dialOwn
	}
	socket, err := connect(kind, t.address(via))
	if err != nil {
		return nil, err
	}
	return &nativePeer{Native: socket, target: t, via: via}, nil
}

// refused is the label with which the broker refuses a BOT without direction. It is the
// same for every peer, so that it can be told what came before it.
func (t *Target) refused(via Transport) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if label := t.refusal[via]; label != nil {
		return label, nil
	}
	fresh, err := t.dialNative(via)
	if err != nil {
		return nil, err
	}
	defer fresh.leave()
	m, err := fresh.probe()
	if err != nil {
		return nil, fmt.Errorf("a BOT without direction is not refused (FLOW-6), so it cannot be seen that nothing came before that: %w", err)
	}
	if t.refusal == nil {
		t.refusal = map[Transport][]byte{}
	}
	t.refusal[via] = m.Label
	return m.Label, nil
}

// dialOwn connects with the gateway's own ZMTP.
func (t *Target) dialOwn(kind zmtp.SocketType, address string) (Native, error) {
	o := dial.DefaultOptions(address, kind)
	o.Curve, o.MaxMessage = t.Curve, 128<<20
	o.Connect, o.Handshake = min(o.Connect, t.Patience), min(o.Handshake, t.Patience)
	conn, err := dial.Dial(context.Background(), o)
	if err != nil {
		return nil, err
	}
	return &own{conn, kind}, nil
}

// errNone is that no message came in time.
var errNone = errors.New("no message came")
