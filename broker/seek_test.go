package broker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// stuck is a match that takes until it is let go.
type stuck chan struct{}

func (s stuck) Match(*matching.View) bool { <-s; return false }

// rightsOf is a grant of everything but what its match does not take.
type rightsOf struct{ match matching.Match }

func (r rightsOf) Rights() rights.Rights {
	return rights.Rights{Client: true, Handler: true, Extract: true, Inject: true, Match: r.match}
}

func message(label string) *zio.Message { return &zio.Message{Label: []byte(label)} }

const giving = `{"flow":"BOT","direction":"extract","credit":4}`

// TestMatchingHoldsUpNobody: while a match takes its time, a route's or a right's, who
// receives its BOT goes on, and so does every flow, its own included.
func TestMatchingHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*broker.Broker, stuck) rights.Grant{
		"a route's": func(b *broker.Broker, s stuck) rights.Grant {
			if _, err := b.AddRoute(routing.Route{Name: "stuck", Match: s, Factory: refuses}); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"a right's": func(_ *broker.Broker, s stuck) rights.Grant { return rightsOf{s} },
		"a listener's": func(b *broker.Broker, s stuck) rights.Grant {
			if _, err := b.Listen(listeners.Spec{Name: "stuck", Match: s, Sink: &quietSink{}}); err != nil {
				t.Fatal(err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, err := broker.New(broker.DefaultOptions())
				if err != nil {
					t.Fatal(err)
				}
				released := make(stuck)
				p := newPair(t, b)
				grant := set(b, released)
				client := b.AttachWith(silentLink{}, transport.PeerInfo{Identity: "other"}, grant)
				client.Receive(message(giving))
				synctest.Wait()
				p.dat(1)
				if info := p.info(); info.Data.Messages != 1 {
					t.Errorf("%d messages have crossed", info.Data.Messages)
				}
				if info := client.Flow().Info(); info.Phase != flow.Pending {
					t.Errorf("the other flow is %v", info.Phase)
				}
				if n := len(b.Flows()); n != 2 {
					t.Errorf("there are %d flows", n)
				}
				client.Leave("has had enough")
				if info := client.Flow().Info(); info.Reason != flow.PeerGone {
					t.Errorf("the other flow ended with %v", info.Reason)
				}
				close(released)
				b.Close(flow.Draining, "")
			})
		})
	}
}

// newPair has a flow that is active, in which the client may give.
func newPair(t *testing.T, b *broker.Broker) *pair {
	t.Helper()
	sink := make(cidSink, 1)
	l, err := b.Listen(listeners.Spec{Name: "first", Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	p := openPair(t, b, sink)
	p.pay(4)
	l.Close()
	return p
}

// offerSink passes offers on.
type offerSink chan routing.Offer

func (s offerSink) Offer(o routing.Offer) error { s <- o; return nil }
func (offerSink) Withdraw(uint64, flow.Reason)  {}

// countingMatch counts how often it is asked.
type countingMatch struct{ asked *atomic.Int64 }

func (m countingMatch) Match(*matching.View) bool { m.asked.Add(1); return true }

// TestAFlowsEndAsksNoMatch: a place that becomes free costs the same, however many
// flows wait for it and listeners there are.
func TestAFlowsEndAsksNoMatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.New(broker.DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		const listening, waiting = 10, 100
		asked := new(atomic.Int64)
		sink := make(offerSink, waiting)
		for range listening {
			spec := listeners.Spec{Name: "raw", MaxFlows: 1, Match: countingMatch{asked}, Sink: sink}
			if _, err := b.Listen(spec); err != nil {
				t.Fatal(err)
			}
		}
		var clients []*broker.Peer
		for range listening + waiting {
			c := b.Attach(silentLink{}, transport.PeerInfo{})
			c.Receive(message(giving))
			clients = append(clients, c)
			synctest.Wait()
		}
		before := asked.Load()
		clients[0].Leave("has had enough")
		synctest.Wait()
		if now := asked.Load(); now != before {
			t.Errorf("a flow's end asked matches %d times", now-before)
		}
		if offers := len(sink); offers != listening+1 {
			t.Errorf("%d offers were made, want %d", offers, listening+1)
		}
		b.Close(flow.Draining, "")
	})
}

// TestAcceptingAsksNoMatchAgain: what a handler's rights have been asked before the
// offer was made is not asked where its BOT is received.
func TestAcceptingAsksNoMatchAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.New(broker.DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		asked := new(atomic.Int64)
		grant := rightsOf{countingMatch{asked}}
		sink := make(offerSink, 1)
		if _, err := b.Listen(listeners.Spec{Name: "raw", Sink: sink, Grant: grant, Peer: transport.PeerInfo{Name: "one"}}); err != nil {
			t.Fatal(err)
		}
		client := b.Attach(silentLink{}, transport.PeerInfo{})
		client.Receive(message(giving))
		offer := <-sink
		before := asked.Load()
		handler := b.AttachWith(silentLink{}, transport.PeerInfo{Name: "one"}, grant)
		handler.Receive(message(fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":4,"cid":%d}`, offer.CID)))
		if now := asked.Load(); before == 0 || now != before {
			t.Errorf("asked %d times before the offer, %d times by accepting it", before, now-before)
		}
		if info := client.Flow().Info(); info.Phase != flow.Active {
			t.Errorf("the flow is %v", info.Phase)
		}
		b.Close(flow.Draining, "")
	})
}

// passRequest is a factory that passes its request on and leaves it pending.
func passRequest(to chan<- *routing.Request) routing.Factory {
	return factoryFunc(func(_ context.Context, r *routing.Request) error { to <- r; return nil })
}

// TestOnEndTakesMany: whoever asks is told of the end, in order.
func TestOnEndTakesMany(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	requests := make(chan *routing.Request, 1)
	if _, err := b.AddRoute(routing.Route{Name: "r", Factory: passRequest(requests)}); err != nil {
		t.Fatal(err)
	}
	client := b.Attach(silentLink{}, transport.PeerInfo{})
	client.Receive(message(giving))
	request := <-requests
	var told []int
	for i := range 3 {
		request.OnEnd(func(flow.Reason) { told = append(told, i) })
	}
	client.Leave("has had enough")
	request.OnEnd(func(flow.Reason) { told = append(told, 3) })
	if fmt.Sprint(told) != "[0 1 2 3]" {
		t.Errorf("told %v", told)
	}
	b.Close(flow.Draining, "")
}

// TestTakenBy names the route and the handler.
func TestTakenBy(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	p := newPair(t, b)
	if route, handler := p.client.Flow().TakenBy(); route != "first" || handler.Identity != "h" {
		t.Errorf("taken by %q, %v", route, handler)
	}
	b.Close(flow.Draining, "")
}
