package broker_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// desk is a listener's sink that keeps its offers.
type desk struct{ offers chan routing.Offer }

func (o *desk) Offer(offer routing.Offer) error {
	o.offers <- offer
	return nil
}

func (o *desk) Withdraw(uint64, flow.Reason) {}

// quiet is a link of which the end alone is of interest.
type quiet struct {
	mu    sync.Mutex
	end   flow.Reason // guarded by mu
	ended chan struct{}
}

func (q *quiet) Deliver(d transport.Delivery) error { d.Message.Release(); return nil }
func (q *quiet) Flush()                             {}
func (q *quiet) Queued() (messages, bytes int64)    { return 0, 0 }
func (q *quiet) Ended(reason flow.Reason, _ string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end = reason
	close(q.ended)
}

// opens has a client of that node open a flow.
func opens(b *broker.Broker, node string) (*broker.Peer, *quiet) {
	q := &quiet{ended: make(chan struct{})}
	p := b.Attach(q, transport.PeerInfo{Transport: "test", Node: node})
	p.Receive(&zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"BOT","direction":"extract","credit":1}`)})
	return p, q
}

func listens(t *testing.T, b *broker.Broker, name, node, holder string, most int) (*listeners.Listener, *desk) {
	t.Helper()
	o := &desk{make(chan routing.Offer, 10)}
	l, err := b.Listen(listeners.Spec{Name: name, MaxFlows: most, Sink: o, Peer: transport.PeerInfo{Node: node, Name: holder}})
	if err != nil {
		t.Fatal(err)
	}
	return l, o
}

func (o *desk) next(t *testing.T) routing.Offer {
	t.Helper()
	select {
	case offer := <-o.offers:
		return offer
	case <-time.After(20 * time.Second):
		t.Fatal("no offer came")
		return routing.Offer{}
	}
}

// TestFarListeners: those of other nodes come after a node's own, whatever their names and
// whoever came first; what they pass goes to the next, or waits until they have room; and a
// flow that came from another node is not offered to them.
func TestFarListeners(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(flow.Draining, "the test is over")
	far, farOffers := listens(t, b, "elsewhere", "b", "", 0)
	near, nearOffers := listens(t, b, "here", "", "", 0)
	opens(b, "")
	nearOffers.next(t)
	near.Close()
	opens(b, "")
	offer := farOffers.next(t)
	far.SetLoad(3, true)
	offer.Pass()
	again, againOffers := listens(t, b, "elsewhere", "c", "", 0)
	if passed := againOffers.next(t); passed.CID == offer.CID {
		t.Error("what was passed has the same cid still")
	}
	again.Close() // its offer waits for the one that is left
	far.SetLoad(3, false)
	farOffers.next(t)

	_, q := opens(b, "d")
	<-q.ended
	if q.end != flow.NoHandler {
		t.Errorf("a flow from another node ended %v, want that nobody takes it", q.end)
	}
	if n := b.Stats().Listeners; n != 0 {
		t.Errorf("%d listeners are counted, and all are elsewhere", n)
	}
}

// TestCarriedClient: the listener that was chosen elsewhere is offered the flow whatever its
// match and the routes say; one that is full refuses it at once.
func TestCarriedClient(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(flow.Draining, "the test is over")
	_, first := listens(t, b, "first", "", "", 0)
	second, offers := listens(t, b, "second", "", "", 1)
	for _, want := range []flow.Reason{flow.NotEnded, flow.Overloaded} {
		q := &quiet{ended: make(chan struct{})}
		p, err := b.AttachCarried(q, transport.PeerInfo{Transport: "test", Node: "a"}, second.ID())
		if err != nil {
			t.Fatal(err)
		}
		p.Receive(&zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"BOT","direction":"extract","credit":1}`)})
		if want == flow.NotEnded {
			if offer := offers.next(t); offer.Client.Node != "a" {
				t.Errorf("the client is %v", offer.Client)
			}
			continue
		}
		<-q.ended
		if q.end != want {
			t.Errorf("a full listener: %v, want %v", q.end, want)
		}
	}
	if len(first.offers) > 0 {
		t.Error("another listener was offered it")
	}
	if in, out := b.Carried(); in["a"] != 1 || len(in) != 1 || len(out) != 0 {
		t.Errorf("carried are %v and %v, of the two one has ended", in, out)
	}
	second.Close()
	if _, err := b.AttachCarried(&quiet{}, transport.PeerInfo{Node: "a"}, second.ID()); err == nil {
		t.Error("a listener that has left has a flow")
	}
}

// TestListenerChanges: who wants to know is told which listeners of this node have come, left, or
// have another number of flows; and there is a signal where they have become idle or full, or are
// so no more.
func TestListenerChanges(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(flow.Draining, "the test is over")
	signalled := func(when string, signal <-chan struct{}) {
		t.Helper()
		select {
		case <-signal:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: there was no signal", when)
		}
	}
	want := func(when, want string) {
		t.Helper()
		changed, left := b.TakeChangedListeners()
		got := ""
		for _, l := range changed {
			got += fmt.Sprintf("%s:%d ", l.Name, l.Flows)
		}
		if got += fmt.Sprint(left); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	many, manyOffers := listens(t, b, "many", "", "", 0)
	want("nobody has asked", "[]")
	came, crossed := b.ListenerChanges()
	want("at first", "many:0 []")
	few, fewOffers := listens(t, b, "few", "", "", 2)
	signalled("another came", came)
	want("another came", "few:0 []")
	open := func(offers *desk) *broker.Peer {
		client, _ := opens(b, "")
		offers.next(t)
		return client
	}
	first := open(manyOffers)
	signalled("busy", crossed)
	want("busy", "many:1 []")
	second := open(manyOffers)
	if len(crossed) > 0 {
		t.Error("one more is signalled")
	}
	want("one more", "many:2 []")
	first.Leave("gone")
	second.Leave("gone")
	signalled("idle again", crossed)
	want("idle again", "many:0 []")
	many.Close()
	signalled("it has left", came)
	want("it has left", "[1]")

	first = open(fewOffers)
	second = open(fewOffers)
	signalled("busy, and full", crossed)
	want("full", "few:2 []")
	first.Leave("gone")
	signalled("full no more", crossed)
	want("full no more", "few:1 []")
	second.Leave("gone")
	few.Close()
	signalled("that has left", came)
	_, far := listens(t, b, "far", "c", "", 1)
	open(far)
	want("and one of another node has come", "[2]")
}

// TestCarriedAreCounted while they last, by the node at which their client or their handler is,
// however they end.
func TestCarriedAreCounted(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(flow.Draining, "the test is over")
	want := func(when string, wantIn, wantOut map[string]int) {
		t.Helper()
		if in, out := b.Carried(); !maps.Equal(in, wantIn) || !maps.Equal(out, wantOut) {
			t.Errorf("%s: %v come from other nodes, %v go to them, want %v and %v", when, in, out, wantIn, wantOut)
		}
	}
	_, offers := listens(t, b, "raw", "", "", 0)
	accept := func(node string) *broker.Peer {
		t.Helper()
		handler := b.Attach(&quiet{ended: make(chan struct{})}, transport.PeerInfo{Transport: "test", Node: node})
		handler.Receive(&zio.Message{Form: zio.FormFlow, Label: fmt.Appendf(nil, `{"flow":"BOT","direction":"inject","credit":1,"cid":%d}`, offers.next(t).CID)})
		return handler
	}
	local, ended := opens(b, "")
	want("here", nil, nil)
	accept("c")
	want("accepted elsewhere", nil, map[string]int{"c": 1})
	far, _ := opens(b, "d")
	want("of a client elsewhere", map[string]int{"d": 1}, map[string]int{"c": 1})
	handler := accept("c")
	want("of two", map[string]int{"d": 1}, map[string]int{"c": 2})
	local.Leave("gone")
	<-ended.ended
	want("one has ended", map[string]int{"d": 1}, map[string]int{"c": 1})
	handler.Leave("gone")
	far.Leave("gone")
	want("both", nil, nil)
}

// TestNamesOfTheCluster: a name that somebody holds at another node is his here.
func TestNamesOfTheCluster(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(flow.Draining, "the test is over")
	listens(t, b, "raw", "b", "anna", 0)
	if _, err := b.Listen(listeners.Spec{Name: "raw", Sink: &desk{}, Peer: transport.PeerInfo{Name: "bert"}}); err == nil {
		t.Error("somebody else listens under it")
	}
	listens(t, b, "raw", "", "anna", 0)
	listens(t, b, "raw", "c", "bert", 0) // which that node has allowed
}
