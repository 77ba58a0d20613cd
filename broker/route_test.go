package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// refuses is a factory that refuses every flow, in the name of its route.
var refuses = factoryFunc(func(_ context.Context, r *routing.Request) error {
	return errors.New(r.Route().Name + " " + string(r.View().Label))
})

// TestRoutesUnderLoad changes the routes in every way while flows are opened.
// Every flow takes the first route that matches, before or after a change.
func TestRoutesUnderLoad(t *testing.T) {
	options := broker.DefaultOptions()
	options.KeepEnded = 10_000
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	inject, err := match.Compile("direction == 'inject'")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AddDefaultRoute(routing.Route{Name: "last", Factory: refuses}); err != nil {
		t.Fatal(err)
	}
	const flows, openers = 200, 4
	var clients, changers sync.WaitGroup
	done := make(chan struct{})
	change := func(round func() error) {
		changers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := round(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	change(func() error {
		if _, err := b.AddRoute(routing.Route{Name: "added", Match: inject, Priority: 1, Factory: refuses}); err != nil {
			return err
		}
		b.Routes()
		_, err := b.RemoveRoute("added")
		return err
	})
	change(func() error {
		return errors.Join(
			b.SetRoutes([]routing.Route{{Name: "one", Match: inject, Factory: refuses}, {Name: "two", Factory: refuses}}),
			b.SetRoutes([]routing.Route{{Name: "two", Match: inject, Factory: refuses}}),
		)
	})
	change(func() error {
		l, err := b.Listen(listeners.Spec{Name: "listening", Match: inject, Sink: goneSink{}})
		if err != nil {
			return err
		}
		if _, err := b.Explain(t.Context(), &matching.View{Label: []byte(`{}`), Direction: zio.Inject}); err != nil {
			return err
		}
		b.Listeners()
		l.Close()
		return nil
	})
	for range openers {
		clients.Go(func() {
			for range flows {
				openAndWait(b)
			}
		})
	}
	clients.Wait()
	close(done)
	changers.Wait()
	b.Close(flow.Draining, "") // and the factories have returned
	ended := b.Flows()
	if len(ended) != flows*openers {
		t.Fatalf("%d flows are remembered, want %d", len(ended), flows*openers)
	}
	for _, f := range ended {
		want := fmt.Sprintf(`%s {"flow":"BOT","direction":"extract","credit":1}`, f.Route)
		if f.Reason != flow.Rejected || f.Detail != want {
			t.Errorf("flow %d took route %q and ended with %v: %s", f.ID, f.Route, f.Reason, f.Detail)
		}
	}
	for _, r := range b.Routes() {
		if r.Flows != 0 {
			t.Errorf("route %s has %d flows left", r.Name, r.Flows)
		}
	}
}

// openAndWait has a flow begin, and waits for its end.
func openAndWait(b *broker.Broker) {
	link := endLink{ended: make(chan struct{}, 1)}
	b.Attach(link, transport.PeerInfo{}).Receive(&zio.Message{Label: []byte(`{"flow":"BOT","direction":"extract","credit":1}`)})
	<-link.ended
}

// endLink tells of its flow's end.
type endLink struct {
	silentLink
	ended chan struct{}
}

func (l endLink) Ended(flow.Reason, string) { l.ended <- struct{}{} }

// goneSink is a listener's that can't be told.
type goneSink struct{}

func (goneSink) Offer(routing.Offer) error    { return transport.ErrGone }
func (goneSink) Withdraw(uint64, flow.Reason) {}

func TestListenersAreDescribed(t *testing.T) {
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := match.Compile("attributes.stream == 'raw'")
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	for _, spec := range []listeners.Spec{
		{Name: "b", Match: raw, MaxFlows: 3, Peer: transport.PeerInfo{Transport: "grpc", Address: "here"}},
		{Name: "a"},
		{Name: "b"},
	} {
		spec.Sink = &quietSink{}
		if _, err := b.Listen(spec); err != nil {
			t.Fatal(err)
		}
	}
	b.Attach(silentLink{}, transport.PeerInfo{}).Receive(&zio.Message{
		Label: []byte(`{"flow":"BOT","direction":"extract","credit":1,"stream":"raw"}`),
	})
	got := b.Listeners()
	for i, want := range []listeners.Info{
		{ID: 1, Name: "b", Match: "attributes.stream == 'raw'", MaxFlows: 3, Peer: transport.PeerInfo{Transport: "grpc", Address: "here"}},
		{ID: 2, Name: "a"},
		{ID: 3, Name: "b"},
	} {
		if got[i].Registered.Before(before) {
			t.Errorf("listener %d was registered at %v, before %v", i, got[i].Registered, before)
		}
		got[i].Registered, got[i].Flows = time.Time{}, 0
		if got[i] != want {
			t.Errorf("got %+v, want %+v", got[i], want)
		}
	}
	b.Close(flow.Draining, "")
}

// quietSink takes offers and does nothing about them.
type quietSink struct{}

func (*quietSink) Offer(routing.Offer) error    { return nil }
func (*quietSink) Withdraw(uint64, flow.Reason) {}
