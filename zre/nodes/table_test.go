package nodes_test

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/zre/nodes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is one with a port "flow" at that address; empty for no such port.
func node(name, address string) nodes.Info {
	n := nodes.Info{Name: name, Endpoint: "tcp://10.0.0.1:5000", Headers: map[string]string{"other": "header"}}
	if address != "" {
		n.Headers["zio.port.flow.address"] = address
		n.Headers["zio.port.flow.socket"] = "SERVER"
	}
	return n
}

// TestLookup: the address is one at which this machine can reach the port, of the node
// that is known for longest.
func TestLookup(t *testing.T) {
	t.Parallel()
	table := nodes.NewTable()
	want := func(name, port, address string) {
		t.Helper()
		got, ok, _ := table.Lookup(name, port)
		if got != address || ok != (address != "") {
			t.Errorf("%s %s is %q, %t, want %q", name, port, got, ok, address)
		}
	}
	want("a", "flow", "")
	table.Put(node("a", "")) // has no such port
	want("a", "flow", "")
	first := table.Put(node("a", "tcp://10.0.0.1:1"))
	second := table.Put(node("a", "tcp://10.0.0.2:2"))
	want("a", "flow", "tcp://10.0.0.1:1")
	want("a", "other", "")
	want("b", "flow", "")
	table.Remove(first.ID, "left")
	want("a", "flow", "tcp://10.0.0.2:2")
	next := *second
	next.Headers = map[string]string{"zio.port.flow.address": ""}
	table.Put(next) // it is not bound any more
	want("a", "flow", "")
	for announced, address := range map[string]string{
		"tcp://127.0.0.1:1":                  "",
		"ipc:///run/flow":                    "",
		"tcp://0.0.0.0:1":                    "",
		"nonsense":                           "",
		"tcp://127.0.0.1:1 tcp://10.1.0.1:2": "tcp://10.1.0.1:2",
		"udp://10.1.0.1:2  tcp://h:0 tcp://[fe80::1]:3": "tcp://[fe80::1]:3",
	} {
		n := table.Put(node("c", announced))
		want("c", "flow", address)
		table.Remove(n.ID, "left")
	}
	here := node("d", "tcp://127.0.0.1:1")
	here.Local = true
	table.Put(here)
	want("d", "flow", "tcp://127.0.0.1:1")
	if p, ok := table.LookupPort("d", "flow"); !ok || p.Socket != "SERVER" {
		t.Errorf("the port is %+v", p)
	}
}

// TestPorts are read from headers, of which others are none.
func TestPorts(t *testing.T) {
	t.Parallel()
	n := node("a", "tcp://10.0.0.1:1 tcp://10.0.0.2:1")
	n.Headers["zio.port.in.put.address"] = ""
	n.Headers["zio.port.lonely.socket"] = "PUB"
	want := []nodes.Port{{Name: "flow", Address: "tcp://10.0.0.1:1 tcp://10.0.0.2:1", Socket: "SERVER"}, {Name: "in.put"}}
	if got := n.Ports(); !reflect.DeepEqual(got, want) {
		t.Errorf("ports are %+v, want %+v", got, want)
	}
}

// TestWatch: every change is told once, in its order; who is not quick enough is told
// how many it has missed.
func TestWatch(t *testing.T) {
	t.Parallel()
	table := nodes.NewTable()
	w := table.Watch(3)
	_, _, changed := table.Lookup("a", "flow")
	n := table.Put(node("a", "tcp://10.0.0.1:1"))
	<-changed
	changed = table.Changed()
	table.Put(*n)
	select {
	case <-changed:
		t.Error("a node that stays the same is told as a change")
	default:
	}
	renamed := *n
	renamed.Name = "b"
	table.Put(renamed)
	<-changed
	table.Remove(n.ID, "expired")
	if table.Remove(n.ID, "expired") {
		t.Error("a node was removed twice")
	}
	for range 5 {
		table.Put(node("c", "")) // is missed
	}
	for _, want := range []nodes.Event{
		{Kind: nodes.Entered}, {Kind: nodes.Changed, Was: "a"}, {Kind: nodes.Left, Reason: "expired"},
	} {
		if e := <-w.Events(); e.Kind != want.Kind || e.Reason != want.Reason || e.Was != want.Was || e.Node.ID != n.ID || e.Missed != 0 || e.Time.IsZero() {
			t.Errorf("told %+v of %+v, want %+v", e, e.Node, want)
		}
	}
	table.Put(node("d", ""))
	if e := <-w.Events(); e.Node.Name != "d" || e.Missed != 5 {
		t.Errorf("told %+v of %+v, want 5 missed", e, e.Node)
	}
	w.Close()
	w.Close()
	table.Put(node("e", ""))
	if e, open := <-w.Events(); open {
		t.Errorf("told %+v after Close", e)
	}
}

// TestWatchedBytes: nodes with large headers do not pile up for a watcher that stands
// still.
func TestWatchedBytes(t *testing.T) {
	t.Parallel()
	table := nodes.NewTable()
	w := table.Watch(1 << 20)
	defer w.Close()
	n := node("a", "")
	n.Headers["large"] = strings.Repeat("x", 1<<20)
	for range 100 {
		table.Put(n)
	}
	waiting := len(w.Events())
	if waiting > 6 {
		t.Errorf("%d MiB wait for a watcher", waiting)
	}
	for range waiting {
		if missed := w.Missed(); missed != 0 {
			t.Errorf("%d missed, before events that wait", missed)
		}
		<-w.Events()
	}
	for _, want := range []uint64{100 - uint64(waiting), 0} {
		if missed := w.Missed(); missed != want {
			t.Errorf("%d missed, want %d", missed, want)
		}
	}
}

// TestConcurrent: everything may be called at once.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	table := nodes.NewTable()
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			w := table.Watch(10)
			for j := range 100 {
				n := table.Put(node(fmt.Sprint(i), fmt.Sprintf("tcp://10.0.0.1:%d", j+1)))
				if _, ok, _ := table.Lookup(fmt.Sprint(i), "flow"); !ok || len(table.After(0)) == 0 {
					t.Errorf("node %d is not there", i)
				}
				<-w.Events()
				table.Remove(n.ID, "left")
			}
			w.Close()
		})
	}
	running.Wait()
	if n := table.Len(); n != 0 {
		t.Errorf("%d nodes are left", n)
	}
}
