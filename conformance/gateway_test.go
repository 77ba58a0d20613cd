package conformance_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/zmqbridge"
)

// patience is how long a test waits for what has to come. Nothing but a failure
// takes that long.
const patience = 20 * time.Second

// soon is how long the gateway may take for what it has to do at once.
const soon = time.Second

// gateway is a gateway in this process, so that the race detector sees it, on
// real sockets of the loopback interface.
type gateway struct {
	broker *broker.Broker
	bridge zmqbridge.Bridge
	// addresses is where each transport's peers connect.
	addresses map[transport]string
	ends      chan broker.FlowID // the flows that have ended, in that order
}

// settings are what a test wants of its gateway.
type settings struct {
	broker.Options
	defaultRoutes bool
	bridge        func(*zmqbridge.Options)
}

// startGateway starts a gateway that the test's end stops.
func startGateway(t *testing.T, configure ...func(*settings)) *gateway {
	t.Helper()
	s := settings{Options: broker.DefaultOptions()}
	g := &gateway{ends: make(chan broker.FlowID, 10_000)}
	s.Observers = []broker.Observer{endWatch(g.ends)}
	for _, change := range configure {
		change(&s)
	}
	b, err := broker.New(s.Options)
	if err != nil {
		t.Fatal(err)
	}
	g.broker = b
	handlers := builtin.New(b, slog.New(slog.DiscardHandler))
	if err := handlers.AddRoutes(); err != nil {
		t.Fatal(err)
	}
	if s.defaultRoutes {
		if err := handlers.AddDefaultRoutes(); err != nil {
			t.Fatal(err)
		}
	}
	o := zmqbridge.DefaultOptions(b.Options())
	o.Engine = engine()
	o.Servers, o.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
	if s.bridge != nil {
		s.bridge(&o)
	}
	bridge, err := zmqbridge.Open(b, o)
	if err != nil {
		t.Fatal(err)
	}
	front, address := startServer(t, b)
	g.bridge = bridge
	g.addresses = map[transport]string{
		viaClient: bridge.Servers()[0], viaDealer: bridge.Routers()[0], viaGRPC: address,
	}
	t.Cleanup(func() {
		b.Close(flow.Draining, "the test is over")
		handlers.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		front.Stop(ctx)
		if err := errors.Join(bridge.Close(), ctx.Err()); err != nil {
			t.Errorf("gateway stopped with: %v", err)
		}
	})
	return g
}

func startServer(t *testing.T, b *broker.Broker) (*server.Server, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := server.New(b, server.DefaultOptions(b.Options()))
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()
	t.Cleanup(func() { // after Stop, as cleanups run from the last to the first
		// A test may be over before Serve has begun.
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("gRPC server ended with: %v", err)
		}
	})
	return front, listener.Addr().String()
}

// connect opens a gRPC connection of the peer's own.
func connect(address string) (*grpc.ClientConn, error) {
	const most = 128 << 20
	return grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(8<<20), grpc.WithInitialConnWindowSize(16<<20), grpc.WithReadBufferSize(1<<20), grpc.WithWriteBufferSize(1<<20),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(most), grpc.MaxCallSendMsgSize(most)))
}

// engine is the ZeroMQ engine that gateways are tested with: scripts/test.sh runs the
// tests with both.
func engine() string { return cmp.Or(os.Getenv("TEST_ZMQ_ENGINE"), "zmtp") }

// notWithLibzmq skips a test of what the second engine does not do.
func notWithLibzmq(t *testing.T, why string) {
	t.Helper()
	if engine() == "libzmq" {
		t.Skip("libzmq " + why)
	}
}

// ended waits for the next flow to end and describes it.
func (g *gateway) ended(t *testing.T) broker.FlowInfo {
	t.Helper()
	select {
	case id := <-g.ends:
		flows := g.broker.Flows()
		i := slices.IndexFunc(flows, func(f broker.FlowInfo) bool { return f.ID == id })
		if i < 0 {
			t.Fatalf("flow %d has ended and is not remembered", id)
		}
		return flows[i]
	case <-time.After(patience):
		t.Fatal("no flow has ended")
		return broker.FlowInfo{}
	}
}

// wantEnd checks why the next flow to end does so.
func (g *gateway) wantEnd(t *testing.T, want flow.Reason) broker.FlowInfo {
	t.Helper()
	f := g.ended(t)
	if f.Reason != want {
		t.Errorf("flow %d ended with %v (%s), want %v", f.ID, f.Reason, f.Detail, want)
	}
	return f
}

// endWatch passes on which flows have ended, all of them.
type endWatch chan broker.FlowID

// Observe implements broker.Observer.
func (w endWatch) Observe(e broker.Event) {
	if e.Flow.Phase == flow.Ended {
		w <- e.Flow.ID
	}
}
