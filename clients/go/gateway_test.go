package zioflow_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a whole gateway in this process.
type memory struct {
	*bufconn.Listener
	broker   *broker.Broker
	builtins *builtin.Handlers
	server   *server.Server
	served   chan error
}

// patient are options for tests in real time, of a gateway that does not end flows because the
// machine is busy.
func patient() broker.Options {
	o := broker.DefaultOptions()
	o.HandlerWait, o.PendingTimeout, o.EOTTimeout = time.Minute, time.Minute, time.Minute
	return o
}

// newMemory starts a gateway without routes.
func newMemory(options broker.Options) *memory {
	b, err := broker.New(options)
	if err != nil {
		panic(err)
	}
	m := &memory{
		Listener: bufconn.Listen(1 << 20),
		broker:   b,
		builtins: builtin.New(b, slog.New(slog.DiscardHandler)),
		server:   server.New(b, server.DefaultOptions(options)),
		served:   make(chan error, 1),
	}
	go func() { m.served <- m.server.Serve(m.Listener) }()
	return m
}

func (m *memory) stop() {
	m.broker.Close(flow.Draining, "the test is over")
	m.server.Stop(context.Background())
	if err := <-m.served; err != nil {
		panic(err)
	}
	m.builtins.Wait()
}

func dialer(l *bufconn.Listener) grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return l.DialContext(ctx)
	})
}

// dial makes a client of what listens in memory.
func dial(l *bufconn.Listener, opts ...zioflow.DialOption) *zioflow.Gateway {
	g, err := zioflow.Dial("passthrough:///memory", append(opts, zioflow.WithDialOptions(dialer(l)))...)
	if err != nil {
		panic(err)
	}
	return g
}

// setup is what a test runs with.
type setup struct {
	change func(*broker.Options)
	bare   bool // without default routes
	dial   []zioflow.DialOption
}

// run runs a test in a bubble: its clock jumps when all wait, and a goroutine
// left behind fails it.
func (s setup) run(t *testing.T, test func(t *testing.T, m *memory, g *zioflow.Gateway)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		options := broker.DefaultOptions()
		if s.change != nil {
			s.change(&options)
		}
		m := newMemory(options)
		t.Cleanup(m.stop)
		if !s.bare {
			if err := m.builtins.AddDefaultRoutes(); err != nil {
				t.Fatal(err)
			}
		}
		g := dial(m.Listener, s.dial...)
		t.Cleanup(func() {
			_ = g.Close()
			if n := g.Calls(); n != 0 {
				t.Errorf("%d calls are left", n)
			}
		})
		test(t, m, g)
	})
}

// handle runs Handle in the background, from when it listens until the test
// ends or stop is called, which answers what Handle has.
func handle(t *testing.T, g *zioflow.Gateway, l zioflow.Listener, h zioflow.Handler) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listening, result := make(chan struct{}), make(chan error, 1)
	l.OnListening = func(uint64) { close(listening) }
	go func() { result <- g.Handle(ctx, l, h); close(result) }()
	stop = func() error { cancel(); return <-result }
	t.Cleanup(func() { _ = stop() })
	select {
	case <-listening:
	case err := <-result:
		t.Fatalf("Handle: %v", err)
	}
	return stop
}

// pair opens a flow between a client and a handler that does nothing by itself.
func pair(t *testing.T, g *zioflow.Gateway, credit int64, clientGives bool) (giver *zioflow.Giver, taker *zioflow.Taker) {
	t.Helper()
	accepted := make(chan error)
	handle(t, g, zioflow.Listener{Name: "pair"}, func(ctx context.Context, o *zioflow.Offer) error {
		var err error
		if clientGives {
			taker, err = o.Take(ctx, zioflow.Bot{})
		} else {
			giver, err = o.Give(ctx, zioflow.Bot{})
		}
		accepted <- err
		<-ctx.Done()
		return nil
	})
	var err error
	if clientGives {
		giver, err = g.Give(t.Context(), zioflow.Bot{Credit: credit})
	} else {
		taker, err = g.Take(t.Context(), zioflow.Bot{Credit: credit})
	}
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	if err := <-accepted; err != nil {
		t.Fatalf("handler: %v", err)
	}
	return giver, taker
}

// eachWay runs a test with a client that gives, and with one that takes.
func eachWay(t *testing.T, credit int64, test func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker)) {
	for name, clientGives := range map[string]bool{"client gives": true, "handler gives": false} {
		t.Run(name, func(t *testing.T) {
			setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
				giver, taker := pair(t, g, credit, clientGives)
				test(t, giver, taker)
			})
		})
	}
}

// background calls f in a goroutine; the channel has its answer.
func background(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	return result
}

// waiting tells whether f has not returned though all else waits.
func waiting(result <-chan error) bool {
	synctest.Wait()
	return len(result) == 0
}

func text(s string) zioflow.Dat { return zioflow.Dat{Payload: [][]byte{[]byte(s)}} }
