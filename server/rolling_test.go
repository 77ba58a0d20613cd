package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
)

// station is a gateway at an address, where another one may follow it.
type station struct {
	*broker.Broker
	server   *server.Server
	handlers *builtin.Handlers
	served   chan error
}

// open serves at that address, which may be in use a moment longer.
func openStation(t *testing.T, address string, change func(*server.Options)) (*station, string) {
	t.Helper()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	s := &station{Broker: b, handlers: builtin.New(b, nil), served: make(chan error, 1)}
	if err := s.handlers.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	o := server.DefaultOptions(b.Options())
	change(&o)
	s.server = server.New(b, o)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	go func() { s.served <- s.server.Serve(l) }()
	return s, l.Addr().String()
}

func (s *station) drain() (idle <-chan struct{}) {
	s.server.Drain()
	return s.Drain()
}

func (s *station) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s.Close(flow.Draining, "the gateway is shutting down")
	s.handlers.Wait()
	s.server.Stop(ctx)
	if err := <-s.served; err != nil {
		t.Error(err)
	}
}

// retrying is the policy that a client of several gateways has.
const retrying = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.2s",
	"maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// dialStations connects to the first of some addresses that can be had, as gRPC does by default.
func dialStations(t *testing.T, policy string, addresses ...string) gatewayv1.FlowServiceClient {
	t.Helper()
	names := manual.NewBuilderWithScheme("stations")
	var state resolver.State
	for _, a := range addresses {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: a})
	}
	names.InitialState(state)
	conn, err := grpc.NewClient("stations:///", grpc.WithResolvers(names), grpc.WithDefaultServiceConfig(policy),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return gatewayv1.NewFlowServiceClient(conn)
}

// oneGet, onePut and oneOpen are short flows.
func oneGet(ctx context.Context, c gatewayv1.FlowServiceClient) error {
	stream, err := c.Get(ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Label: `{"count":2}`, Credit: 1}})
	for err == nil {
		_, err = stream.Recv()
	}
	return err
}

func onePut(ctx context.Context, c gatewayv1.FlowServiceClient) error {
	stream, err := c.Put(ctx)
	if err != nil {
		return err
	}
	_ = stream.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{Credit: 1}}})
	_ = stream.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Dat{Dat: &gatewayv1.Dat{}}})
	if _, err = stream.CloseAndRecv(); err != nil {
		return err
	}
	return io.EOF
}

func oneOpen(ctx context.Context, c gatewayv1.FlowServiceClient) error {
	stream, err := c.Open(ctx)
	if err != nil {
		return err
	}
	_ = stream.Send(giving(1))
	_ = stream.CloseSend()
	for err == nil {
		_, err = stream.Recv()
	}
	return err
}

// TestRollingRestart: while two gateways are restarted in turn, no call fails of a client
// that knows of both and tries again.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	none := func(*server.Options) {}
	a, first := openStation(t, "127.0.0.1:0", none)
	b, second := openStation(t, "127.0.0.1:0", none)
	var calling sync.WaitGroup
	var done, since atomic.Int64 // calls: in all, and since the last step
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var enough atomic.Bool
	for _, one := range []func(context.Context, gatewayv1.FlowServiceClient) error{oneGet, onePut, oneOpen} {
		client := dialStations(t, retrying, first, second)
		calling.Go(func() {
			for !enough.Load() {
				if err := one(ctx, client); !errors.Is(err, io.EOF) {
					t.Errorf("call %d: %v", done.Load(), err)
					return
				}
				done.Add(1)
				since.Add(1)
			}
		})
	}
	some := func() { // calls go on
		since.Store(0)
		eventually(t, "calls", func() bool { return since.Load() >= 30 || t.Failed() })
	}
	restart := func(s *station, address string) *station {
		some()
		idle := s.drain()
		some()
		<-idle
		s.stop(t)
		some()
		again, _ := openStation(t, address, none)
		return again
	}
	a = restart(a, first)
	b = restart(b, second)
	some()
	enough.Store(true)
	calling.Wait()
	a.stop(t)
	b.stop(t)
	t.Logf("%d calls", done.Load())
}

// TestDrainSendsElsewhere: who knows of two gateways comes to the other one although he
// never tries again. So does one who has a flow, which goes on, when he is refused another.
func TestDrainSendsElsewhere(t *testing.T) {
	t.Parallel()
	a, first := openStation(t, "127.0.0.1:0", func(*server.Options) {})
	b, second := openStation(t, "127.0.0.1:0", func(*server.Options) {})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	idle, busy := dialStations(t, `{}`, first, second), dialStations(t, `{}`, first, second)
	if err := oneGet(ctx, idle); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	stream, err := busy.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send(t, stream, giving(1))
	awaitCredit(t, stream)
	ended := a.drain()
	eventually(t, "the idle client is told", func() bool { return oneGet(ctx, idle) == io.EOF }) //nolint:errorlint // as Recv returns it
	for range 3 {
		if err := oneGet(ctx, idle); !errors.Is(err, io.EOF) {
			t.Errorf("a call after the drain: %v", err)
		}
	}
	if err := oneGet(ctx, busy); status.Code(err) != codes.Unavailable {
		t.Errorf("the client that has a flow is not refused another: %v", err)
	}
	eventually(t, "the busy client is told", func() bool { return oneGet(ctx, busy) == io.EOF }) //nolint:errorlint // as Recv returns it
	send(t, stream, dat(&gatewayv1.Dat{}))
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if got := transcript(stream); got != "PAY EOT" && got != "EOT" {
		t.Errorf("the flow that had begun: %s", got)
	}
	<-ended
	if n := b.Stats().Opened; n < 5 {
		t.Errorf("the other gateway had %d flows, want at least 5", n)
	}
	a.server.Undrain()
	a.stop(t)
	b.stop(t)
}

// TestRefusedWithTheStatusAlone: whatever refuses a flow, neither headers nor messages
// come before the status, which names the reason; and whether to try again.
func TestRefusedWithTheStatusAlone(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	if _, err := f.admin.Drain(f.ctx, &gatewayv1.DrainRequest{}); err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]func() (metadata.MD, error){
		"Open": func() (metadata.MD, error) {
			stream := f.open(t, giving(1))
			_, err := stream.Recv()
			header, _ := stream.Header()
			return header, err
		},
		"Get": func() (metadata.MD, error) {
			stream, err := f.flows.Get(f.ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = stream.Recv()
			header, _ := stream.Header()
			return header, err
		},
		"Put": func() (metadata.MD, error) {
			stream, err := f.flows.Put(f.ctx)
			if err != nil {
				t.Fatal(err)
			}
			_ = stream.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{}}})
			_, err = stream.CloseAndRecv()
			header, _ := stream.Header()
			return header, err
		},
	} {
		header, err := one()
		if status.Code(err) != codes.Unavailable || len(header) != 0 {
			t.Errorf("%s: headers %v, then %v", name, header, err)
		}
	}
}

// TestMaxAge: a connection that has become old is left for another one; flows go on, a
// listener is asked to listen again.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	const age = 300 * time.Millisecond
	s, address := openStation(t, "127.0.0.1:0", func(o *server.Options) { o.MaxAge = age })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	stream, err := gatewayv1.NewFlowServiceClient(conn).Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send(t, stream, giving(1))
	awaitCredit(t, stream)
	for range 2 { // on the first connection, and on the second
		listening, err := gatewayv1.NewHandlerServiceClient(conn).Listen(ctx, &gatewayv1.ListenRequest{Name: "l"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := listening.Recv(); err != nil {
			t.Fatal(err)
		}
		if _, err := listening.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("the listener ends with %v", err)
		}
	}
	send(t, stream, dat(&gatewayv1.Dat{}))
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if got := transcript(stream); got != "PAY EOT" && got != "EOT" {
		t.Errorf("the flow: %s", got)
	}
	s.stop(t)
}

// eventually waits for something that nobody tells of.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(time.Minute); !so(); {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s: never", what)
		}
	}
}
