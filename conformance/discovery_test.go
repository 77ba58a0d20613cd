//go:build linux

package main_test

import (
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/netns"
)

// The events of nodes.
const (
	entered = gatewayv1.NodeEvent_NODE_EVENT_ENTERED
	left    = gatewayv1.NodeEvent_NODE_EVENT_LEFT
)

// wantPort checks what a node of pyre was told of a port.
func wantPort(t *testing.T, e pyreEvent, port, socket, host string) {
	t.Helper()
	address := e.Headers["zio.port."+port+".address"]
	if !strings.HasPrefix(address, "tcp://"+host+":") || strings.Contains(address, " ") || e.Headers["zio.port."+port+".socket"] != socket {
		t.Errorf("told %v, want the %s %s at %s", e.Headers, socket, port, host)
	}
}

// TestTwoHosts_PEER_1: a gateway and a node of pyre find each other over a network, each
// learns at which address the other is, and that it has gone, in whatever way.
func TestTwoHosts_PEER_1(t *testing.T) {
	t.Parallel()
	a, b := netns.New(t), netns.New(t)
	netns.Link(a, "10.9.0.1/24", b, "10.9.0.2/24")
	g := serveOn(t, a, online, "--node=broker")
	begin := time.Now()
	since := func(what string) {
		t.Helper()
		t.Logf("%s after %v", what, time.Since(begin).Round(time.Millisecond))
		begin = time.Now()
	}
	detector := func() *pyre {
		return startPyre(t, b, "detector", "zio.port.out.address=tcp://10.9.0.2:1234", "zio.port.out.socket=SERVER", "room=12")
	}
	p := detector()
	since("pyre was started")
	e := p.want(t, "ENTER", "broker")
	since("pyre has found the gateway")
	wantPort(t, e, "flow", "SERVER", "10.9.0.1")
	wantPort(t, e, "flow-router", "ROUTER", "10.9.0.1")
	n := g.want(t, entered, "detector").GetNode()
	since("the gateway has found pyre")
	if n.GetUuid() != p.uuid || n.GetLocal() || n.GetHeaders()["room"] != "12" || len(n.GetPorts()) != 1 ||
		n.GetPorts()[0].GetAddress() != "tcp://10.9.0.2:1234" || n.GetPorts()[0].GetName() != "out" {
		t.Errorf("the gateway has found %v", n)
	}

	transferAt(t, b, "zmq-server", e.Headers["zio.port.flow.address"])
	transferAt(t, b, "zmq-router", e.Headers["zio.port.flow-router.address"])

	begin = time.Now()
	p.stop()
	if e := g.want(t, left, "detector"); e.GetReason() != "left" && e.GetReason() != "closed" {
		t.Errorf("gone because %s", e.GetReason())
	}
	since("it was known that pyre has left")

	p = detector() // the same name, another node
	if now := g.want(t, entered, "detector").GetNode(); now.GetUuid() != p.uuid || now.GetId() == n.GetId() {
		t.Errorf("the gateway has found %v", now)
	}
	p.want(t, "ENTER", "broker")
	begin = time.Now()
	p.kill()
	if e := g.want(t, left, "detector"); e.GetReason() != "closed" {
		t.Errorf("gone because %s", e.GetReason())
	}
	since("it was known that pyre was killed")
	startPyre(t, b, "renamed").want(t, "ENTER", "broker")
	g.want(t, entered, "renamed")
}

// transferAt takes a flow as a native client on a host that was told an address.
func transferAt(t *testing.T, h *netns.Host, via, address string) {
	t.Helper()
	c := gatewayCommand(t, patience, []string{"get", "--via=" + via, "--address=" + address, "builtin=generate", "count=3"}, nil)
	h.On(c)
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "took 3 messages") {
		t.Errorf("%s at %s: %v\n%s", via, address, err, out)
	}
}

// TestGatewayRestarts: a gateway that is restarted, with the same name or another one, is
// found anew.
func TestGatewayRestarts(t *testing.T) {
	t.Parallel()
	a, b := netns.New(t), netns.New(t)
	netns.Link(a, "10.9.0.1/24", b, "10.9.0.2/24")
	p := startPyre(t, b, "detector")
	var last string
	for _, name := range []string{"broker", "broker", "other"} {
		g := serveOn(t, a, online, "--node="+name)
		e := p.want(t, "ENTER", name)
		if e.UUID == last {
			t.Error("the gateway is the same node after a restart")
		}
		last = e.UUID
		g.node(t, "detector")
		g.leave()
		begin := time.Now()
		if err := g.command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.want(t, "EXIT", name)
		t.Logf("pyre has seen the gateway leave after %v", time.Since(begin).Round(time.Millisecond))
		if code := g.wait(t, stopLimit); code != 0 {
			t.Errorf("the gateway has exited with %d", code)
		}
	}
}

// TestThreeHosts_PEER_2: on one network two gateways of a name and a node of pyre find
// each other, and the operators are told of the name.
func TestThreeHosts_PEER_2(t *testing.T) {
	t.Parallel()
	a, b, c := netns.New(t), netns.New(t), netns.New(t)
	netns.Switch(t, map[*netns.Host]string{a: "10.9.0.1/24", b: "10.9.0.2/24", c: "10.9.0.3/24"})
	one, two := serveOn(t, a, online), serveOn(t, b, online)
	p := startPyre(t, c, "detector")
	hosts := map[string]bool{}
	for range 2 {
		e := p.want(t, "ENTER", "zio-gateway")
		host := strings.TrimPrefix(e.Endpoint[:strings.LastIndexByte(e.Endpoint, ':')], "tcp://")
		wantPort(t, e, "flow", "SERVER", host)
		hosts[host] = true
	}
	if !hosts["10.9.0.1"] || !hosts["10.9.0.2"] {
		t.Errorf("pyre has found gateways at %v", hosts)
	}
	for _, g := range []*found{one, two} {
		g.node(t, "detector")
		g.node(t, "zio-gateway") // the other one
		g.log.waitFor(t, "another node has this node's name")
	}
}

// TestTwoNetworks_PEER_1: a gateway between two networks is found on each, at the address
// that it has there. A port that is on one of them alone is announced there alone.
func TestTwoNetworks_PEER_1(t *testing.T) {
	t.Parallel()
	a, b, c := netns.New(t), netns.New(t), netns.New(t)
	netns.Link(a, "10.9.0.1/24", b, "10.9.0.2/24")
	netns.Link(b, "10.8.0.2/24", c, "10.8.0.3/24")
	g := serveOn(t, b, []string{"--zmq-server=tcp://0.0.0.0:0", "--zmq-router=tcp://10.8.0.2:0", "--grpc=127.0.0.1:0", "--http=none", "--insecure"},
		"--port-name=data")
	for host, at := range map[*netns.Host]string{a: "10.9.0.2", c: "10.8.0.2"} {
		e := startPyre(t, host, "at "+at).want(t, "ENTER", "zio-gateway")
		wantPort(t, e, "data", "SERVER", at)
		if _, told := e.Headers["zio.port.data-router.address"]; told != (at == "10.8.0.2") {
			t.Errorf("at %s told %v", at, e.Headers)
		}
		if n := g.node(t, "at "+at); n.GetLocal() {
			t.Errorf("found %v", n)
		}
	}
}

// TestLoopbackOnly_PEER_9: on a host that has nothing but loopback, gateways and nodes of
// pyre find each other.
func TestLoopbackOnly_PEER_9(t *testing.T) {
	t.Parallel()
	h := netns.New(t)
	h.IP("route add 224.0.0.0/4 dev lo") // or pyre gives up: it sends to a group
	one, two := serveOn(t, h, ephemeral), serveOn(t, h, ephemeral, "--node=other")
	p := startPyre(t, h, "detector")
	for range 2 {
		select {
		case e := <-p.events:
			if e.Event != "ENTER" {
				t.Fatalf("pyre sees %v", e)
			}
			wantPort(t, e, "flow", "SERVER", "127.0.0.1")
			wantPort(t, e, "flow-router", "ROUTER", "127.0.0.1")
		case <-time.After(patience):
			t.Fatalf("pyre finds nobody:\n%s", p.log.text())
		}
	}
	if n := one.node(t, "other"); !n.GetLocal() {
		t.Errorf("found %v", n)
	}
	two.node(t, "zio-gateway")
	one.node(t, "detector")
	two.node(t, "detector")
}

// TestStaysOnLoopback: a gateway whose addresses are on loopback, or beyond it but not
// allowed to be told of, is found on its machine and nowhere else.
func TestStaysOnLoopback(t *testing.T) {
	t.Parallel()
	a, b := netns.New(t), netns.New(t)
	netns.Link(a, "10.9.0.1/24", b, "10.9.0.2/24")
	g := serveOn(t, a, ephemeral)
	far, near := startPyre(t, b, "far"), startPyre(t, a, "near")
	wantPort(t, near.want(t, "ENTER", "zio-gateway"), "flow", "SERVER", "127.0.0.1")
	near.want(t, "ENTER", "far")
	far.want(t, "ENTER", "near") // the network is there
	if n := g.node(t, "near"); !n.GetLocal() || !strings.HasPrefix(n.GetEndpoint(), "tcp://10.9.0.1:") {
		t.Errorf("found %v", n)
	}
	if r, err := g.admin.ListNodes(t.Context(), &gatewayv1.ListNodesRequest{}); err != nil || len(r.GetNodes()) != 1 {
		t.Errorf("found %v (%v), want those of this machine", r, err)
	}
	public := serveOn(t, a, ephemeral, "--node=public", "--public-node")
	e := far.want(t, "ENTER", "public")
	if slices.ContainsFunc(far.passed, func(e pyreEvent) bool { return e.Name == "zio-gateway" }) {
		t.Errorf("another machine was told of the gateway: %v", far.passed)
	}
	if _, told := e.Headers["zio.port.flow.address"]; told {
		t.Errorf("told %v, of which nothing can be reached", e.Headers)
	}
	public.node(t, "far")
	public.node(t, "near")
	wantPort(t, near.want(t, "ENTER", "public"), "flow", "SERVER", "127.0.0.1")
}

// TestNoDiscovery: where the port for beacons cannot be had, or there is no interface, a
// gateway says so and serves.
func TestNoDiscovery(t *testing.T) {
	t.Parallel()
	h := netns.New(t)
	var taken *net.UDPConn
	if err := h.Do(func() (err error) {
		taken, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 5670}) // and it is not shared
		return err
	}); err != nil {
		t.Fatal(err)
	}
	g := serveOn(t, h, ephemeral)
	g.log.waitFor(t, "no discovery")
	s, err := g.admin.GetStatus(t.Context(), &gatewayv1.GetStatusRequest{})
	if err != nil || s.GetNode() != "" {
		t.Errorf("its node is %q (%v)", s.GetNode(), err)
	}
	if err := taken.Close(); err != nil {
		t.Error(err)
	}
	g = serveOn(t, h, ephemeral)
	if s, err = g.admin.GetStatus(t.Context(), &gatewayv1.GetStatusRequest{}); err != nil || s.GetNode() != "zio-gateway" {
		t.Errorf("its node is %q (%v)", s.GetNode(), err)
	}
	h.IP("link set lo down")
	blind := serveBy(t, onHost(h), []string{"--zmq-server=tcp://*:0", "--zmq-router=none", "--grpc=none", "--http=none", "--insecure"}, nil, nil)
	blind.log.waitFor(t, "no interface at which this node could be found")
}
