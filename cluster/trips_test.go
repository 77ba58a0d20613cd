package cluster_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/zioflow/gateway/cluster"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// direction is one of the two in which bytes go through a gate.
type direction int

const (
	there direction = iota
	back
	both
)

// gate stands before a node. It holds what comes, and lets it pass one way or both.
type gate struct {
	address string
	node    string
	running sync.WaitGroup

	mu    sync.Mutex
	moved *sync.Cond
	open  direction  // guarded by mu
	over  bool       // guarded by mu
	conns []net.Conn // guarded by mu
}

// newGate makes one before the node at that address, open both ways, until the test's end.
func newGate(t *testing.T, node string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: l.Addr().String(), node: node, open: both}
	g.moved = sync.NewCond(&g.mu)
	g.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			g.running.Go(func() { g.pass(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		g.mu.Lock()
		g.over = true
		for _, conn := range g.conns {
			_ = conn.Close()
		}
		g.mu.Unlock()
		g.moved.Broadcast()
		g.running.Wait()
	})
	return g
}

// turn lets bytes pass that way alone from now on: what has come already, and what comes.
func (g *gate) turn(way direction) {
	g.mu.Lock()
	g.open = way
	g.mu.Unlock()
	g.moved.Broadcast()
}

// pass passes a connection on.
func (g *gate) pass(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	on, err := net.Dial("tcp", g.node)
	if err != nil {
		return
	}
	defer func() { _ = on.Close() }()
	g.mu.Lock()
	if g.over {
		g.mu.Unlock()
		return
	}
	g.conns = append(g.conns, conn, on)
	g.mu.Unlock()
	var ways sync.WaitGroup
	ways.Go(func() { g.copy(on, conn, there) })
	ways.Go(func() { g.copy(conn, on, back) })
	ways.Wait()
}

// copy writes what it reads, each piece when that way is open, and passes on the end.
func (g *gate) copy(to, from net.Conn, way direction) {
	defer func() { _ = to.(*net.TCPConn).CloseWrite() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !g.write(to, buffer[:n], way) || err != nil {
			return
		}
	}
}

// write waits until that way is open. Nothing is written any more once turn has returned.
func (g *gate) write(to io.Writer, b []byte, way direction) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.open != way && g.open != both && !g.over {
		g.moved.Wait()
	}
	_, err := to.Write(b)
	return err == nil && !g.over
}

// TestFirstDATTakesTwoRoundTrips: from the client's BOT to its first DAT the network between
// the nodes is crossed four times, whatever else they have to tell each other then. It is open one
// way at a time here.
func TestFirstDATTakesTwoRoundTrips(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.start("b")
	l := b.listen(&gatewayv1.ListenRequest{Name: "raw"})
	g := newGate(t, b.Addresses().ClusterPeer)
	cluster.Via(b.Addresses().ClusterPeer, g.address)
	a := r.start("a", b)
	a.knows(1, 1)

	g.turn(there)
	client := a.open(&gatewayv1.Bot{Direction: inject, Credit: 1})
	handler := b.open(&gatewayv1.Bot{Cid: l.next().GetCid(), Direction: extract, Credit: 1})
	if handler.next().GetBot() == nil {
		t.Error("the handler was not told that it has the flow")
	}
	g.turn(back)
	if client.next().GetBot() == nil {
		t.Error("the client was not told who has the flow")
	}
	client.pay(1)
	g.turn(there)
	if handler.next().GetPay() == nil {
		t.Error("the handler was not paid")
	}
	handler.dat("first")
	g.turn(back)
	if text := client.next().GetDat().GetPayload(); len(text) != 1 || string(text[0]) != "first" {
		t.Errorf("the first DAT is %q", text)
	}
	g.turn(both)
	client.eot()
	handler.ends()
	handler.eot()
	if reason, _ := client.ends(); reason != gatewayv1.EndReason_END_REASON_COMPLETED {
		t.Errorf("the client was told %v", reason)
	}
}
