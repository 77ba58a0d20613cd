package broker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/matching"
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

// leads is a factory that hands requests out, and returns what it is told.
type leads struct {
	requests chan *routing.Request
	returns  chan error
}

func newLeads() *leads { return &leads{make(chan *routing.Request, 10), make(chan error, 10)} }

func (l *leads) Find(ctx context.Context, r *routing.Request) error {
	l.requests <- r
	select {
	case err := <-l.returns:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (l *leads) next(t *testing.T) *routing.Request {
	t.Helper()
	select {
	case r := <-l.requests:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("no flow came")
		return nil
	}
}

// waiting is a broker whose flows wait so long for a handler.
func waiting(t *testing.T, handler time.Duration) *broker.Broker {
	t.Helper()
	options := broker.DefaultOptions()
	options.HandlerWait, options.PendingTimeout = handler, time.Hour
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(flow.Draining, "the test is over") })
	return b
}

// TestFarRoutes: those of other nodes come behind a node's own of their priority, in the order of
// the nodes' names; what one passes goes to the next, and comes back to it when it is released; and
// a flow that came from another node takes none.
func TestFarRoutes(t *testing.T) {
	t.Parallel()
	b := waiting(t, time.Hour)
	here, atB, atC := newLeads(), newLeads(), newLeads()
	far := func(node string, number uint64, priority int32, f routing.Factory) *routing.FarRoute {
		route, err := b.AddFarRoute(routing.Route{Name: "raw", Priority: priority, Factory: f}, routing.Far{Node: node, NodeID: node, Number: number})
		if err != nil {
			t.Fatal(err)
		}
		return route
	}
	far("c", 1, 0, atC)
	far("b", 7, 0, atB)
	routeAtB := far("b", 5, 0, atB)
	far("d", 1, -1, atC)
	if _, err := b.AddRoute(routing.Route{Name: "raw", Match: fromHere{}, Factory: here}); err != nil {
		t.Fatal(err)
	}
	order := ""
	for _, r := range b.Routes() {
		if order += r.Node; r.Node != "" {
			order += fmt.Sprint(r.Number)
		}
		order += " "
	}
	if want := " b5 b7 c1 d1 "; order != want {
		t.Errorf("the routes are tried in the order %s, want %s", order, want)
	}

	opens(b, "")
	atB.next(t)
	routeAtB.Hold(&routing.Passed{Reason: flow.Overloaded, Why: "it is full"})
	atB.returns <- &routing.Passed{Reason: flow.Overloaded, Why: "b5 is full"}
	atB.next(t) // b7
	if verdicts, err := b.Explain(t.Context(), &matching.View{Label: []byte(`{"flow":"BOT"}`)}); err != nil || verdicts[1].Takes || !verdicts[2].Takes ||
		verdicts[1].Explanation != "takes every BOT; it is full" || verdicts[1].Node != "b" {
		t.Errorf("%v, %v", verdicts, err)
	}
	routeAtB.Remove()

	options := b.Options()
	options.HandlerWait = 0
	if err := b.SetLimits(options); err != nil {
		t.Fatal(err)
	}
	_, q := opens(b, "e")
	select {
	case <-q.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("a flow from another node has not ended")
	}
	if q.end != flow.NoHandler || len(atB.requests)+len(atC.requests) > 0 {
		t.Errorf("a flow from another node ended %v, or is sent on", q.end)
	}
	if _, err := b.RemoveRoute("raw"); err != nil {
		t.Error(err)
	}
	if _, err := b.RemoveRoute("raw"); !errors.Is(err, routing.ErrFarRoute) || !strings.Contains(err.Error(), "at node b or c or d") {
		t.Errorf("removed at another node: %v", err)
	}
}

// fromHere takes nothing: its route is there for the order alone.
type fromHere struct{}

func (fromHere) Match(*matching.View) bool { return false }

// TestPassedFlowWaits: where nobody else takes a flow it waits for the route that passed it, and
// ends as that said.
func TestPassedFlowWaits(t *testing.T) {
	t.Parallel()
	b := waiting(t, time.Hour)
	f := newLeads()
	route, err := b.AddFarRoute(routing.Route{Name: "raw", Factory: f}, routing.Far{Node: "b", NodeID: "b", Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	opens(b, "")
	f.next(t)
	route.Hold(&routing.Passed{Reason: flow.Overloaded, Why: "b is full"})
	f.returns <- &routing.Passed{Reason: flow.Overloaded, Why: "b is full"}
	for len(f.returns) > 0 { // it was taken
		runtime.Gosched()
	}
	route.Release()
	f.next(t)
	options := b.Options()
	options.HandlerWait = 0
	if err := b.SetLimits(options); err != nil {
		t.Fatal(err)
	}
	_, q := opens(b, "")
	f.next(t)
	route.Hold(&routing.Passed{Reason: flow.Overloaded, Why: "b is full"})
	for range 2 {
		f.returns <- &routing.Passed{Reason: flow.Overloaded, Why: "b is full"}
	}
	_, q2 := opens(b, "") // which does not try it: it is held
	for _, q := range []*quiet{q, q2} {
		select {
		case <-q.ended:
		case <-time.After(20 * time.Second):
			t.Fatal("it has not ended")
		}
		if q.end != flow.Overloaded {
			t.Errorf("it ended %v", q.end)
		}
	}
	if len(f.requests) > 0 {
		t.Error("a route that is held is asked")
	}
}

// TestPassedByWhoLeaves: what a route has said of a flow counts when it is there no more.
func TestPassedByWhoLeaves(t *testing.T) {
	t.Parallel()
	b := waiting(t, 0)
	f := newLeads()
	route, err := b.AddFarRoute(routing.Route{Name: "raw", Factory: f}, routing.Far{Node: "b", NodeID: "b", Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, q := opens(b, "")
	f.next(t)
	route.Remove()
	f.returns <- &routing.Passed{Reason: flow.Overloaded, Why: "b is full"}
	select {
	case <-q.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it has not ended")
	}
	if q.end != flow.Overloaded {
		t.Errorf("it ended %v", q.end)
	}
}

// TestRoutedClient: the route that was chosen elsewhere has the flow, whatever its match and the
// others say, and counts it.
func TestRoutedClient(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(flow.Draining, "the test is over")
	first, second := newLeads(), newLeads()
	for name, f := range map[string]*leads{"first": first, "second": second} {
		if _, err := b.AddRoute(routing.Route{Name: name, Match: fromHere{}, Priority: int32(len(name)), Factory: f}); err != nil {
			t.Fatal(err)
		}
	}
	number := b.AddedRoutes()[0].Number
	if b.AddedRoutes()[0].Name == "first" {
		first, second = second, first
	}
	p, err := b.AttachRouted(&quiet{ended: make(chan struct{})}, transport.PeerInfo{Transport: "test", Node: "a"}, number)
	if err != nil {
		t.Fatal(err)
	}
	p.Receive(&zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"BOT","direction":"extract","credit":1}`)})
	second.next(t)
	if added := b.AddedRoutes()[0]; added.Flows != 1 || added.Taken != 1 {
		t.Errorf("it counts %d of %d flows", added.Flows, added.Taken)
	}
	if _, err := b.RemoveRoute(b.AddedRoutes()[0].Name); err != nil {
		t.Fatal(err)
	}
	if _, err := b.AttachRouted(&quiet{}, transport.PeerInfo{Node: "a"}, number); !errors.Is(err, broker.ErrNoRoute) {
		t.Errorf("a route that was removed has a flow: %v", err)
	}
	if len(first.requests) > 0 {
		t.Error("the other route has it, too")
	}
}
