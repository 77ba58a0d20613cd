package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
)

// streamTypes implements services whose streams tell what they are made of, and
// whose one unary call fails.
type streamTypes struct {
	gatewayv1.UnimplementedFlowServiceServer
	gatewayv1.UnimplementedHandlerServiceServer
	seen chan string
	fail error // of Open and Decline; set before they are called
}

func (s *streamTypes) Open(stream grpc.BidiStreamingServer[gatewayv1.OpenRequest, gatewayv1.OpenResponse]) error {
	s.tell(stream.(*grpc.GenericServerStream[gatewayv1.OpenRequest, gatewayv1.OpenResponse]).ServerStream)
	return s.fail
}

func (s *streamTypes) Put(stream grpc.ClientStreamingServer[gatewayv1.PutRequest, gatewayv1.PutResponse]) error {
	s.tell(stream.(*grpc.GenericServerStream[gatewayv1.PutRequest, gatewayv1.PutResponse]).ServerStream)
	return nil
}

func (s *streamTypes) Listen(_ *gatewayv1.ListenRequest, stream grpc.ServerStreamingServer[gatewayv1.ListenResponse]) error {
	s.tell(stream.(*grpc.GenericServerStream[gatewayv1.ListenRequest, gatewayv1.ListenResponse]).ServerStream)
	return nil
}

func (s *streamTypes) Decline(context.Context, *gatewayv1.DeclineRequest) (*gatewayv1.DeclineResponse, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	panic("a method that fails")
}

func (s *streamTypes) tell(stream grpc.ServerStream) { s.seen <- fmt.Sprintf("%T", stream) }

// startChain serves such services behind the interceptors.
func startChain(t *testing.T, log *slog.Logger) (*streamTypes, *grpc.ClientConn) {
	t.Helper()
	services := &streamTypes{seen: make(chan string, 1)}
	s := grpc.NewServer()
	allowed, counters := newAllowances(1000), newCounters(nil)
	in := &registrar{
		Server: s, counters: counters, allowed: allowed, stop: t.Context(), readers: new(sync.WaitGroup), stall: time.Minute,
		chain: newChain(logs.NewSampler(log, logs.Options{}), counters, entrance{}, newLimiter(RateLimits{Total: 1e6, Peer: 1e6}), allowed),
	}
	gatewayv1.RegisterFlowServiceServer(in, services)
	gatewayv1.RegisterHandlerServiceServer(in, services)
	listener := bufconn.Listen(1 << 16)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:gateway",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithMaxHeaderListSize(8<<10), // as clients of other languages
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return services, conn
}

// TestFlowsHavePlainStreams proves that no interceptor stands between a flow and
// its messages; that the test can see one is shown by a stream that is none.
func TestFlowsHavePlainStreams(t *testing.T) {
	services, conn := startChain(t, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)

	flows, handlers := gatewayv1.NewFlowServiceClient(conn), gatewayv1.NewHandlerServiceClient(conn)
	const plain = "*grpc.serverStream"
	for _, call := range []struct {
		name  string
		plain bool
		begin func() error
	}{
		{"Open", true, func() error { _, err := flows.Open(ctx); return err }},
		{"Put", true, func() error { _, err := flows.Put(ctx); return err }},
		{"Listen", false, func() error { _, err := handlers.Listen(ctx, &gatewayv1.ListenRequest{Name: "l"}); return err }},
	} {
		if err := call.begin(); err != nil {
			t.Fatalf("%s: %v", call.name, err)
		}
		select {
		case seen := <-services.seen:
			if (seen == plain) != call.plain {
				t.Errorf("%s has a stream of type %s", call.name, seen)
			}
		case <-ctx.Done():
			t.Fatalf("%s was never called", call.name)
		}
	}
}

// TestLongStatus: a caller is told no more than it takes by default, of calls of
// either kind.
func TestLongStatus(t *testing.T) {
	services, conn := startChain(t, slog.New(slog.DiscardHandler))
	services.fail = status.Error(codes.NotFound, strings.Repeat("ä", 1<<20))
	_, unary := gatewayv1.NewHandlerServiceClient(conn).Decline(t.Context(), &gatewayv1.DeclineRequest{})
	stream, err := gatewayv1.NewFlowServiceClient(conn).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, streamed := stream.Recv()
	for _, err := range []error{unary, streamed} {
		if s := status.Convert(err); s.Code() != codes.NotFound || !strings.HasPrefix(s.Message(), "ää") || len(s.Message()) > 1024 {
			t.Errorf("got %v with %d bytes", s.Code(), len(s.Message()))
		}
	}
}

// TestPanicInAUnaryCall: the caller gets INTERNAL, the log the place.
func TestPanicInAUnaryCall(t *testing.T) {
	var log bytes.Buffer
	_, conn := startChain(t, slog.New(slog.NewTextHandler(&log, nil)))
	_, err := gatewayv1.NewHandlerServiceClient(conn).Decline(t.Context(), &gatewayv1.DeclineRequest{})
	if status.Code(err) != codes.Internal {
		t.Errorf("Decline ended with %v, want INTERNAL", err)
	}
	for _, words := range []string{"level=ERROR", "a method that fails", "streamTypes).Decline"} {
		if !strings.Contains(log.String(), words) {
			t.Errorf("the log lacks %q:\n%s", words, &log)
		}
	}
}

// TestHostsAreBounded: beyond the bound, hosts that are quiet are forgotten, and
// when none is, new ones share a limit.
func TestHostsAreBounded(t *testing.T) {
	l := newLimiter(RateLimits{Peer: 1})
	now := time.Now()
	for n := range maxHosts {
		if wait := l.begin(fmt.Sprint(n), now); wait != 0 {
			t.Fatalf("host %d has to wait %v", n, wait)
		}
	}
	if first, second := l.begin("one", now), l.begin("another", now); first != 0 || second == 0 {
		t.Errorf("hosts beyond the bound have to wait %v and %v, want 0 and more", first, second)
	}
	if len(l.hosts) != maxHosts {
		t.Errorf("%d hosts are known, want %d", len(l.hosts), maxHosts)
	}
	if wait := l.begin("one", now.Add(time.Minute)); wait != 0 || len(l.hosts) != 1 {
		t.Errorf("has to wait %v beside %d hosts, want 0 and 1", wait, len(l.hosts))
	}
}
