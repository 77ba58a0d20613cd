package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/server/admin"
)

// onLoopback is a configuration that gets in nobody's way.
func onLoopback() Config {
	c := DefaultConfig()
	c.ZMQ.Servers, c.ZMQ.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
	c.GRPC.Addresses, c.HTTP.Address, c.Node.Name = []string{"127.0.0.1:0"}, "127.0.0.1:0", "none"
	return c
}

// TestAddresses: every front that has an address is bound, with its real port, and no
// other is.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Config)
		want   string // transports that are bound
	}{
		"all":          {func(*Config) {}, "zmq-server zmq-router grpc http"},
		"no DEALERs":   {func(c *Config) { c.ZMQ.Routers = []string{"none"} }, "zmq-server grpc http"},
		"gRPC alone":   {func(c *Config) { c.ZMQ.Servers, c.ZMQ.Routers, c.HTTP.Address = nil, nil, "" }, "grpc"},
		"without gRPC": {func(c *Config) { c.GRPC.Addresses = []string{"none"} }, "zmq-server zmq-router http"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := onLoopback()
			test.change(&c)
			g := mustNew(t, c)
			var bound []string
			for _, e := range g.Endpoints() {
				bound = append(bound, e.Transport)
				address := strings.TrimPrefix(e.Address, "tcp://")
				if conn, err := net.Dial("tcp", address); err != nil {
					t.Errorf("%s: %v", e.Transport, err)
				} else {
					_ = conn.Close()
				}
			}
			if got := strings.Join(bound, " "); got != test.want {
				t.Errorf("bound are %s, want %s", got, test.want)
			}
		})
	}
}

func mustNew(t *testing.T, c Config) *Gateway {
	t.Helper()
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// TestNewLeavesNothingBehind: what was bound before the address that cannot be had is
// free again.
func TestNewLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	c := onLoopback()
	path := filepath.Join(t.TempDir(), "zio")
	c.ZMQ.Servers = []string{"ipc://" + path}
	c.HTTP.Address = taken.Addr().String()
	if g, err := New(c); err == nil || !strings.HasPrefix(err.Error(), "http: ") {
		t.Fatalf("got %v, %v, want that the address is taken", g, err)
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("the ZeroMQ endpoint is still there")
	}
	c.HTTP.Address = ""
	mustNew(t, c) // the path can be had again
}

// TestSeveralAddresses: flows and health checks come by any of them, sockets among them;
// who comes by a socket is an operator of this machine, and is told apart by his process.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := onLoopback()
	c.GRPC.Addresses = []string{"localhost:0", "unix:" + dir + "/grpc", "127.0.0.1:*", "unix://" + dir + "/second"}
	c.HTTP.Address = "unix:" + dir + "/http"
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	a := g.Addresses()
	wantSockets := []string{"unix:" + dir + "/grpc", "unix:" + dir + "/second"}
	if got := slices.DeleteFunc(slices.Clone(a.GRPCAddresses), func(a string) bool { return !strings.HasPrefix(a, "unix:") }); !slices.Equal(got, wantSockets) {
		t.Errorf("the sockets are %v, want %v", got, wantSockets)
	}
	if len(a.GRPCAddresses) < 4 || a.GRPC != a.GRPCAddresses[0] || a.HTTP != "unix:"+dir+"/http" || !slices.Equal(a.HTTPAddresses, []string{a.HTTP}) {
		t.Errorf("the addresses are %+v", a)
	}
	for _, address := range a.GRPCAddresses {
		operate(t, address)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", dir+"/http")
	}}}
	if r, err := client.Get("http://gateway/readyz"); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %v, %v", r, err)
	} else {
		_ = r.Body.Close()
	}
	second := onLoopback()
	second.HTTP.Address = c.HTTP.Address
	if g, err := New(second); err == nil || !strings.HasPrefix(err.Error(), "http: unix:"+dir+"/http: another process serves this path") {
		t.Errorf("another gateway at the path: %v, %v", g, err)
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// operate has a flow at an address, and looks at it as an operator.
func operate(t *testing.T, address string) {
	t.Helper()
	client, err := zioflow.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	giver, err := client.Give(t.Context(), zioflow.Bot{Credit: 2, Attributes: map[string]any{"builtin": "dump"}})
	if err != nil {
		t.Errorf("%s: %v", address, err)
		return
	}
	var peers []string
	for p, err := range client.Admin().Peers(t.Context(), "grpc") {
		if err != nil {
			t.Errorf("%s: %v", address, err)
		}
		peers = append(peers, p.GetPeer().GetAddress())
	}
	if !slices.ContainsFunc(peers, func(at string) bool { return strings.HasPrefix(at, address) || !strings.HasPrefix(address, "unix:") }) {
		t.Errorf("at %s there are %v", address, peers)
	}
	if err := giver.Close(t.Context()); err != nil {
		t.Errorf("%s: %v", address, err)
	}
}

// TestRunEndsWithItsContext, and refuses what makes no sense before anything is bound. It
// is not parallel: its port must not become another test's.
func TestRunEndsWithItsContext(t *testing.T) {
	wrong := onLoopback()
	wrong.StallTimeout = -time.Second
	if _, err := New(wrong); err == nil || err.Error() != "stall-timeout is -1s, want more than 0" {
		t.Errorf("a stall timeout below 0: %v", err)
	}
	g, err := New(onLoopback())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", g.Addresses().GRPC); err == nil {
		t.Error("gRPC is still there")
	}
}

// TestRunEndsWithAFront: one that fails by itself ends the gateway with its error.
func TestRunEndsWithAFront(t *testing.T) {
	t.Parallel()
	g, err := New(onLoopback())
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the listener broke")
	g.host().Watch("http", func() error { return broken })
	if err := g.Run(t.Context()); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "http: ") {
		t.Errorf("got %v", err)
	}
}

// TestReloadWithoutSource reads the files anew that the configuration names, and tells so.
func TestReloadWithoutSource(t *testing.T) {
	t.Parallel()
	g := mustNew(t, onLoopback())
	if r, err := g.Reload(); err != nil || len(r.Changes)+len(r.NeedRestart) > 0 {
		t.Errorf("got %+v, %v, want that nothing has changed", r, err)
	}
}

// TestDrain: operators are told, by every front that can, until it is undone.
func TestDrain(t *testing.T) {
	t.Parallel()
	g := mustNew(t, onLoopback())
	var process admin.Process = g
	for range 2 {
		process.Drain()
		if !process.Status().Draining {
			t.Error("it does not drain")
		}
	}
	if err := process.Undrain(); err != nil || process.Status().Draining {
		t.Errorf("it drains still: %v", err)
	}
}
