package main_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/zmqbridge"
)

// TestAddresses binds both sockets to several addresses of every kind, and has
// peers at each exchange data with peers at all the others.
func TestAddresses(t *testing.T) {
	dir := t.TempDir()
	servers := []string{"tcp://127.0.0.1:*", "tcp://[::1]:*", "ipc://" + filepath.Join(dir, "server"), "tcp://127.0.0.1:0"}
	routers := []string{"ipc://" + filepath.Join(dir, "router"), "tcp://[::1]:0", "tcp://127.0.0.1:0", "tcp://127.0.0.1:*"}
	g := startGateway(t, func(s *settings) {
		s.servers, s.routers = servers, routers
	})
	checkBound(t, servers, g.servers)
	checkBound(t, routers, g.routers)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	for _, server := range g.servers {
		for _, router := range g.routers {
			t.Run(strings.ReplaceAll(server+" to "+router, dir, ""), func(t *testing.T) {
				f := openBetween(t, l, dialAt(t, viaClient, server), dialAt(t, viaDealer, router), zio.Extract, 2)
				f.cross(t, 3)
				f.end(t)
				g.wantEnd(t, flow.Completed)
			})
		}
	}
}

// checkBound compares addresses with what was wanted: the same, in the words in
// which they were given, but for the port.
func checkBound(t *testing.T, wanted, bound []string) {
	t.Helper()
	if len(bound) != len(wanted) {
		t.Fatalf("bound %v, want %d addresses", bound, len(wanted))
	}
	for i, address := range bound {
		host := strings.TrimRight(wanted[i], "*0")
		port, same := strings.CutPrefix(address, host)
		if n, err := strconv.Atoi(port); !same || port != "" && (err != nil || n == 0) {
			t.Errorf("bound %s for %s, want the same with the real port", address, wanted[i])
		}
	}
}

func dialAt(t *testing.T, via transportName, address string) peer {
	t.Helper()
	p, err := dial(via, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.leave)
	return p
}

// TestIPCPath: an ipc path belongs to one bridge, which goes on serving when
// another one wants it, and is for the gateway's user and group alone.
func TestIPCPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow")
	address := "ipc://" + path
	g := startGateway(t, withDefaultRoutes, func(s *settings) {
		s.servers = []string{address}
	})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the path has mode %v (%v), want 0660", info.Mode(), err)
	}
	for _, set := range []func(*zmqbridge.Options){
		func(o *zmqbridge.Options) { o.Servers = []string{address} },
		func(o *zmqbridge.Options) { o.Routers = []string{"tcp://127.0.0.1:*", address} },
	} {
		o := zmqbridge.DefaultOptions(g.broker.Options())
		set(&o)
		second, err := zmqbridge.Open(g.broker, o)
		if err == nil {
			err = second.Close()
			t.Fatalf("a second bridge took the path over (%v)", err)
		}
		if text := err.Error(); !strings.Contains(text, address) || !strings.Contains(text, "another process serves this path") {
			t.Errorf("the second bridge failed with %q, want the address, and that another process serves it", text)
		}
	}
	client := g.dial(t, viaClient)
	mustSend(t, client, botMessage(zio.Extract, 2, 0))
	mustRecv(t, client, zio.BOT)
}

// TestIPCPathAgain: when its bridge has closed, a path can be bound anew, also
// after a crash that has left the socket behind. A file is not taken for one.
func TestIPCPathAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t)
	open := func(path string) (zmqbridge.Bridge, error) {
		o := zmqbridge.DefaultOptions(g.broker.Options())
		o.Engine, o.Servers = engine(), []string{"ipc://" + path}
		return zmqbridge.Open(g.broker, o)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(file); err == nil || !strings.Contains(err.Error(), file+" is no socket") {
		t.Errorf("a file in the path's place: %v", err)
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != "precious" {
		t.Errorf("the file has %q, %v", kept, err)
	}
	for range 2 {
		bridge, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := bridge.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
