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

// TestCrossings: it is told which listeners of this node have become idle or full, or are so no
// more, and of nothing else that flows do.
func TestCrossings(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(flow.Draining, "the test is over")
	crossed := b.ListenersCrossed()
	want := func(when, name string, flows int) {
		t.Helper()
		select {
		case <-crossed:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: nobody was told", when)
		}
		if all := b.TakeCrossedListeners(); len(all) != 1 || all[0].Name != name || all[0].Flows != flows {
			t.Errorf("%s: told was %+v, want %s with %d", when, all, name, flows)
		}
	}
	several, many := listens(t, b, "many", "", "", 0)
	clients := [3]*broker.Peer{}
	clients[0], _ = opens(b, "")
	many.next(t)
	want("one of many", "many", 1)
	clients[1], _ = opens(b, "")
	many.next(t)
	clients[1].Leave("gone") // of two, one is left
	if all := b.TakeCrossedListeners(); len(all) > 0 {
		t.Errorf("one more or less: told was %+v", all)
	}
	clients[0].Leave("gone")
	want("none of many", "many", 0)
	several.Close()

	few, offers := listens(t, b, "few", "", "", 2)
	clients[0], _ = opens(b, "")
	offers.next(t)
	want("one of two", "few", 1)
	clients[1], _ = opens(b, "")
	offers.next(t)
	want("two of two", "few", 2)
	clients[0].Leave("gone")
	want("one of two again", "few", 1)
	clients[1].Leave("gone")
	few.Close()
	_, far := listens(t, b, "far", "c", "", 1)
	opens(b, "")
	far.next(t)
	if all := b.TakeCrossedListeners(); len(all) > 0 {
		t.Errorf("one that has left, and one of another node: told was %+v", all)
	}
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
