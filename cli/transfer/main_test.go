package transfer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"

	"github.com/zioflow/gateway/cli/exit"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/gateway"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// asCommand has the test's program be the commands, in a process of their own.
const asCommand = "TRANSFER_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	var app struct {
		Put   Put   `cmd:""`
		Get   Get   `cmd:""`
		Tail  Tail  `cmd:""`
		Bench Bench `cmd:""`
	}
	parsed, err := kong.Must(&app, kong.Name("gateway"), kong.DefaultEnvars("ZIO_GATEWAY")).Parse(os.Args[1:])
	if err == nil {
		err = parsed.Run()
	} else {
		err = exit.With(exit.Usage, err)
	}
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "gateway: %v\n", err)
		os.Exit(int(exit.Of(err)))
	}
}

// served is a gateway in this process.
type served struct {
	gateway.Addresses
	stop func() // ends it before the test's end
}

// serve runs a gateway until the test's end, with a configuration that may be changed.
func serve(t *testing.T, change ...func(*gateway.Config)) served {
	t.Helper()
	c := gateway.DefaultConfig()
	c.ZMQ.Servers, c.ZMQ.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
	c.GRPC.Addresses, c.HTTP.Address, c.Node.Name = []string{"127.0.0.1:0"}, "", "none"
	c.Limits.HandlerWait, c.Limits.PendingTimeout = patience, patience // a command may be slow to start
	for _, change := range change {
		change(&c)
	}
	g, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		if err := g.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return served{g.Addresses(), stop}
}

// dial connects the test itself to it.
func (s served) dial(t *testing.T) *zioflow.Gateway {
	t.Helper()
	g, err := zioflow.Dial(s.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// vias are all ways to a gateway.
var vias = []string{"grpc", "zmq-server", "zmq-router"}

// command runs a command that reaches it in this way.
func (s served) command(t *testing.T, via, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	address := map[string]string{"grpc": s.GRPC, "zmq-server": first(s.ZMQServer), "zmq-router": first(s.ZMQRouter)}[via]
	return command(t, append([]string{name, "--via=" + via, "--address=" + address, "--grpc=" + s.GRPC}, arguments...)...)
}

func first(addresses []string) string { return addresses[0] }

// command runs a command in a process of its own, which is killed if it takes too long.
func command(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, os.Args[0], arguments...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "ZIO_GATEWAY") {
			c.Env = append(c.Env, variable)
		}
	}
	c.Env = append(c.Env, asCommand+"=1")
	return c
}

// ran is a command that has ended.
type ran struct {
	out, err string
	code     int
}

func run(t *testing.T, c *exec.Cmd) ran {
	t.Helper()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return ran{out.String(), errs.String(), c.ProcessState.ExitCode()}
}

// handled is a flow whose handler is the test.
type handled struct {
	taker *zioflow.Taker
	over  func()
}

// handle has the test be the handler of the next flow that gives and has these attributes.
// The flow comes from the channel.
func (s served) handle(t *testing.T, match string, credit int64) <-chan handled {
	t.Helper()
	g := s.dial(t)
	flows, listening, stopped := make(chan handled, 1), make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(stopped)
		l := zioflow.Listener{Name: "test", Match: match, OnListening: func(uint64) { close(listening) }}
		_ = g.Handle(ctx, l, func(_ context.Context, o *zioflow.Offer) error {
			taker, err := o.Take(ctx, zioflow.Bot{Credit: credit})
			if err != nil {
				return err
			}
			done := make(chan struct{})
			flows <- handled{taker, func() { close(done) }}
			<-done
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-stopped })
	select {
	case <-listening:
	case <-time.After(patience):
		t.Fatal("the gateway does not know the listener")
	}
	return flows
}

// received waits for what comes.
func received[T any](t *testing.T, from <-chan T, what string) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(patience):
		t.Fatalf("%s: it has not come", what)
	}
	return value
}

// readUntil reads until it has seen a text, which it returns with all before it.
func readUntil(t *testing.T, r io.Reader, want string) string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		var all []byte
		for buffer := make([]byte, 4096); !strings.Contains(string(all), want); {
			n, err := r.Read(buffer)
			if all = append(all, buffer[:n]...); err != nil {
				break // or the command has ended
			}
		}
		got <- string(all)
	}()
	text := received(t, got, want)
	if !strings.Contains(text, want) {
		t.Fatalf("printed was %q, want %q in it", text, want)
	}
	return text
}
