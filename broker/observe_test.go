package broker_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
)

// phases notes which phases each flow has entered.
type phases struct {
	mu   sync.Mutex
	seen map[transport.FlowID][]flow.Phase
}

func (p *phases) Observe(e broker.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[e.Flow.ID] = append(p.seen[e.Flow.ID], e.Flow.Phase)
}

// TestObserversMissNothing, whatever becomes of a flow.
func TestObserversMissNothing(t *testing.T) {
	seen := &phases{seen: map[transport.FlowID][]flow.Phase{}}
	b, cids := newBroker(t, func(o *broker.Options) { o.Observers = []broker.Observer{seen} })
	openPair(t, b, cids).end()
	openPair(t, b, cids).client.Leave("gone")
	p := &pair{t: t, broker: b, client: b.Attach(silentLink{}, transport.PeerInfo{})}
	p.say(p.client, `{"flow":"BOT","direction":"extract","credit":4}`, 0)
	p.client.Leave("gone")
	for id, want := range map[transport.FlowID][]flow.Phase{
		1: {flow.Pending, flow.Active, flow.HalfClosed, flow.Ended},
		2: {flow.Pending, flow.Active, flow.Ended},
		3: {flow.Pending, flow.Ended},
	} {
		if !slices.Equal(seen.seen[id], want) {
			t.Errorf("flow %d: %v, want %v", id, seen.seen[id], want)
		}
	}
}

// TestWatchersShareAnEventAndStopNobody: of 100 watchers none reads, and flows
// go on; what each has room for is one and the same.
func TestWatchersShareAnEventAndStopNobody(t *testing.T) {
	b, cids := newBroker(t, nil)
	watchers := make([]*broker.Watcher, 100)
	for i := range watchers {
		watchers[i] = b.Watch(3)
		defer watchers[i].Close()
	}
	for range 10 {
		p := openPair(t, b, cids)
		p.pay(1)
		p.dat(1)
		p.end()
	}
	if n := b.Stats().Ended[flow.Completed]; n != 10 {
		t.Errorf("%d flows completed, want 10", n)
	}
	first := <-watchers[0].Events()
	for _, w := range watchers[1:] {
		if e := <-w.Events(); e.Flow != first.Flow {
			t.Errorf("watchers are told %p and %p of the same event", e.Flow, first.Flow)
		}
	}
	openPair(t, b, cids)
	for range 2 {
		<-watchers[0].Events()
	}
	if e := <-watchers[0].Events(); e.Missed != 37 { // 40 events, of which 3 had room
		t.Errorf("missed %d, want 37", e.Missed)
	}
}
