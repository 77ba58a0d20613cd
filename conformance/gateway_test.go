package main_test

import (
	"cmp"
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/zmqbridge"
)

// patience is how long a test waits for what has to come. Nothing but a failure
// takes that long.
const patience = 20 * time.Second

// soon is how long the gateway may take for what it has to do at once.
const soon = time.Second

// inProcess is a gateway in this process, so that the race detector sees it, on
// real sockets of the loopback interface.
type inProcess struct {
	broker *broker.Broker
	// servers and routers are the bound ZeroMQ addresses.
	servers, routers []string
	// addresses is where each transport's peers connect.
	addresses map[transportName]string
	ends      chan transport.FlowID // the flows that have ended, in that order
}

// settings are what a test wants of its gateway.
type settings struct {
	broker.Options
	defaultRoutes    bool
	servers, routers []string // ZeroMQ addresses
	// bridge changes what no configuration does; nil for nothing.
	bridge func(*zmqbridge.Options)
}

// startGateway starts a gateway that the test's end stops.
func startGateway(t *testing.T, configure ...func(*settings)) *inProcess {
	t.Helper()
	s := settings{Options: broker.DefaultOptions(), servers: []string{"tcp://127.0.0.1:*"}, routers: []string{"tcp://127.0.0.1:*"}}
	p := &inProcess{ends: make(chan transport.FlowID, 10_000)}
	s.Observers = []broker.Observer{endWatch(p.ends)}
	for _, change := range configure {
		change(&s)
	}
	c := gateway.DefaultConfig()
	c.Limits, c.Routing.Default = s.Options, s.defaultRoutes
	c.ZMQ.Engine, c.ZMQ.Servers, c.ZMQ.Routers = engine(), s.servers, s.routers
	c.GRPC.Addresses, c.HTTP.Address, c.Node.Name = []string{"127.0.0.1:0"}, "", "none"
	if s.bridge != nil {
		c.ZMQ.Servers, c.ZMQ.Routers = nil, nil
	}
	g := runGateway(t, c)
	p.broker = g.Broker()
	p.servers, p.routers = g.Addresses().ZMQServer, g.Addresses().ZMQRouter
	if s.bridge != nil {
		p.openBridge(t, s)
	}
	p.addresses = map[transportName]string{viaClient: p.servers[0], viaDealer: p.routers[0], viaGRPC: g.Addresses().GRPC}
	return p
}

// runGateway runs a gateway until the test's end.
func runGateway(t *testing.T, c gateway.Config) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("gateway stopped with: %v", err)
		}
	})
	return g
}

// openBridge opens the ZeroMQ addresses by hand.
func (g *inProcess) openBridge(t *testing.T, s settings) {
	t.Helper()
	o := zmqbridge.DefaultOptions(g.broker.Options())
	o.Engine, o.Servers, o.Routers = engine(), s.servers, s.routers
	s.bridge(&o)
	bridge, err := zmqbridge.Open(g.broker, o)
	if err != nil {
		t.Fatal(err)
	}
	g.servers, g.routers = bridge.Servers(), bridge.Routers()
	t.Cleanup(func() { // before the gateway stops: flows end with it all the same
		g.broker.Close(flow.Draining, "the test is over")
		if err := bridge.Close(); err != nil {
			t.Errorf("ZeroMQ stopped with: %v", err)
		}
	})
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
func (g *inProcess) ended(t *testing.T) relay.Info {
	t.Helper()
	select {
	case id := <-g.ends:
		flows := g.broker.Flows()
		i := slices.IndexFunc(flows, func(f relay.Info) bool { return f.ID == id })
		if i < 0 {
			t.Fatalf("flow %d has ended and is not remembered", id)
		}
		return flows[i]
	case <-time.After(patience):
		t.Fatal("no flow has ended")
		return relay.Info{}
	}
}

// wantEnd checks why the next flow to end does so.
func (g *inProcess) wantEnd(t *testing.T, want flow.Reason) relay.Info {
	t.Helper()
	f := g.ended(t)
	if f.Reason != want {
		t.Errorf("flow %d ended with %v (%s), want %v", f.ID, f.Reason, f.Detail, want)
	}
	return f
}

// endWatch passes on which flows have ended, all of them.
type endWatch chan transport.FlowID

// Observe implements broker.Observer.
func (w endWatch) Observe(e broker.Event) {
	if e.Flow.Phase == flow.Ended {
		w <- e.Flow.ID
	}
}
