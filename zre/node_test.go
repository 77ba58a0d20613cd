package zre_test

import (
	"bytes"
	"log"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/zre"
	"github.com/zioflow/gateway/zre/nodes"
	"github.com/zioflow/gateway/zre/wire"
)

func TestMain(m *testing.M) {
	if os.Getenv("ZRE_TEST_NODE") == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := runNode(); err != nil {
		log.Fatal(err)
	}
}

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// beaconPort is one that no other test uses, nor any node of this machine.
func beaconPort(t *testing.T) uint16 {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return uint16(c.LocalAddr().(*net.UDPAddr).Port)
}

// quick are the options of a node on loopback that has one port.
func quick(name string, beacons uint16) zre.Options {
	o := zre.DefaultOptions(name)
	o.Loopback, o.BeaconPort, o.Beacon = true, beacons, 50*time.Millisecond
	o.Ports = []zre.Bound{{Name: "flow", Socket: "SERVER", Addresses: []string{"tcp://127.0.0.1:5555"}}}
	return o
}

// open goes online; the test's end goes offline.
func open(t *testing.T, o zre.Options) *zre.Node {
	t.Helper()
	n, err := zre.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// await waits until a table is as it should be.
func await(t *testing.T, table *zre.Table, what string, until func([]*zre.NodeInfo) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		changed := table.Changed()
		if until(table.After(0)) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: the nodes are %v", what, table.After(0))
		}
	}
}

func count(want int) func([]*zre.NodeInfo) bool {
	return func(nodes []*zre.NodeInfo) bool { return len(nodes) == want }
}

// TestFound_PEER_9: two nodes on loopback find each other, with their ports, and one that
// goes offline is gone for the other.
func TestFound_PEER_9(t *testing.T) {
	t.Parallel()
	beacons := beaconPort(t)
	a, b := open(t, quick("a", beacons)), open(t, quick("b", beacons))
	w := a.Table().Watch(10)
	defer w.Close()
	for n, other := range map[*zre.Node]*zre.Node{a: b, b: a} {
		await(t, n.Table(), "found", count(1))
		info := n.Table().After(0)[0]
		if info.UUID != other.UUID() || !info.Local || !strings.HasPrefix(info.Endpoint, "tcp://127.0.0.1:") {
			t.Errorf("found %+v", info)
		}
		if got, ok, _ := n.Table().Lookup(info.Name, "flow"); got != "tcp://127.0.0.1:5555" || !ok {
			t.Errorf("its port is at %q, %t", got, ok)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	await(t, a.Table(), "gone", count(0))
	if b.Table().Len() != 0 {
		t.Error("a node that is offline knows others")
	}
	for e := range w.Events() {
		if e.Kind == nodes.Left {
			if e.Reason != "left" && e.Reason != "closed" {
				t.Errorf("gone because %s", e.Reason)
			}
			return
		}
	}
}

// TestBeacons_PEER_8: a node says by beacons that it is there, and that it goes.
func TestBeacons_PEER_8(t *testing.T) {
	t.Parallel()
	o := quick("a", beaconPort(t))
	n := open(t, o)
	udp := listenShared(t, o.BeaconPort)
	var heard []wire.Beacon
	closed := make(chan error, 1)
	for len(heard) == 0 || heard[len(heard)-1].Port != 0 {
		buffer := make([]byte, 100)
		size, err := udp.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		b, err := wire.ParseBeacon(buffer[:size])
		if err != nil || b.UUID != n.UUID() {
			t.Fatalf("heard %x (%v)", buffer[:size], err)
		}
		if heard = append(heard, b); len(heard) == 3 {
			go func() { closed <- n.Close() }()
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if heard[0].Port == 0 || heard[0] != heard[1] {
		t.Errorf("the beacons were %v", heard)
	}
}

// listenShared listens for beacons beside a node.
func listenShared(t *testing.T, port uint16) *net.UDPConn {
	t.Helper()
	udp, err := zre.ListenBeacons(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = udp.Close() })
	if err := udp.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return udp
}

// logged collects a log. Its method may be called concurrently.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestSameName_PEER_2: several nodes of a name are all found, and their operators told.
func TestSameName_PEER_2(t *testing.T) {
	t.Parallel()
	const several = 6
	beacons := beaconPort(t)
	var log logged
	nodes := make([]*zre.Node, several)
	for i := range nodes {
		o := quick("twin", beacons)
		if i == 0 {
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		}
		nodes[i] = open(t, o)
	}
	for _, n := range nodes {
		await(t, n.Table(), "twins", count(several-1))
	}
	for deadline := time.Now().Add(patience); ; runtime.Gosched() { // connections to those who are known may still be under way
		s := nodes[0].Stats()
		if s.Nodes == several-1 && s.Connecting == 0 && s.Dropped["own"] > 0 && s.Sent > 0 && s.Heard > s.Sent {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("stats are %+v", s)
			break
		}
	}
	if err := nodes[0].Close(); err != nil { // now all is written
		t.Error(err)
	}
	if n := strings.Count(log.String(), "another node has this node's name"); n != several-1 {
		t.Errorf("the log has %d lines about it:\n%s", n, log.String())
	}
}

// TestOpenFails says what is wrong.
func TestOpenFails(t *testing.T) {
	t.Parallel()
	port := beaconPort(t)
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{Port: int(port)}) // and not shared
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	for want, change := range map[string]func(*zre.Options){
		"needs a name":    func(o *zre.Options) { o.Name = "" },
		"ASCII":           func(o *zre.Options) { o.Name = "ü" },
		"port's name is":  func(o *zre.Options) { o.Ports[0].Name = "a b" },
		`name "flow"`:     func(o *zre.Options) { o.Ports = append(o.Ports, o.Ports[0]) },
		"for beacons":     func(o *zre.Options) { o.BeaconPort = port },
		"for other nodes": func(o *zre.Options) { o.Inbox = uint16(tcp.Addr().(*net.TCPAddr).Port) },
	} {
		o := quick("a", beaconPort(t))
		change(&o)
		if n, err := zre.Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error that says %q", err, want)
			if n != nil {
				_ = n.Close()
			}
		}
	}
}

// TestComesAndGoes: nodes that come and go all the time leave nothing behind.
func TestComesAndGoes(t *testing.T) {
	t.Parallel()
	beacons := beaconPort(t)
	a := open(t, quick("a", beacons))
	var uuids []wire.UUID
	for range 5 {
		b, err := zre.Open(quick("b", beacons))
		if err != nil {
			t.Fatal(err)
		}
		await(t, a.Table(), "come", func(nodes []*zre.NodeInfo) bool {
			return len(nodes) == 1 && nodes[0].UUID == b.UUID()
		})
		if uuids = append(uuids, b.UUID()); slices.Contains(uuids[:len(uuids)-1], b.UUID()) {
			t.Error("a UUID came twice")
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		await(t, a.Table(), "gone", count(0))
	}
}
