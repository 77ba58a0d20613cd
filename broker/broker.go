// Package broker pairs clients with handlers and relays flows between them. It
// knows neither ZeroMQ nor gRPC: a transport attaches a Link for each of its
// peers and passes on what the peer sends.
//
// Locks are taken in the order Flow, route table, listener group, Broker, link;
// none is held while something waits.
package broker

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
)

// Broker is the routing core. All its methods may be called concurrently.
type Broker struct {
	options  Options
	log      *slog.Logger
	routes   routeTable
	watchers watchers
	budget   budget

	mu       sync.Mutex
	lastID   FlowID              // guarded by mu
	live     map[FlowID]*Flow    // guarded by mu
	offers   map[uint64]*Request // guarded by mu; by cid
	held     map[string]int      // guarded by mu; live flows by the names of their peers
	pending  int                 // guarded by mu
	ended    []*Flow             // guarded by mu; a ring of at most KeepEnded
	oldest   int                 // guarded by mu; the ring's next place
	draining bool                // guarded by mu
	idle     chan struct{}       // closed when draining and without live flows
	factory  sync.WaitGroup      // the factories' goroutines
}

// New makes a broker without routes.
func New(options Options) (*Broker, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	return &Broker{
		options: options,
		log:     options.Log,
		budget:  budget{limit: options.MaxBytes, perFlow: options.MaxFlowBytes},
		idle:    make(chan struct{}),
		live:    map[FlowID]*Flow{},
		offers:  map[uint64]*Request{},
		held:    map[string]int{},
	}, nil
}

// Options answers the broker's limits.
func (b *Broker) Options() Options { return b.options }

// Drain refuses every BOT from now on that would begin a flow; handlers still
// reach the flows that are pending. The channel is closed when no flow is left.
func (b *Broker) Drain() (idle <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.draining {
		b.draining = true
		b.drained()
	}
	return b.idle
}

// drained closes idle if the last flow has ended. b.mu is held.
func (b *Broker) drained() {
	if b.draining && len(b.live) == 0 {
		close(b.idle)
	}
}

// Close refuses new flows, ends the ones there are for that reason, and returns
// when their factories have returned.
func (b *Broker) Close(reason flow.Reason, detail string) {
	b.Drain()
	for _, f := range b.liveFlows() {
		f.stop(reason, detail)
	}
	b.factory.Wait()
	b.budget.sweeper.Wait()
}

// Live counts the flows that have not ended.
func (b *Broker) Live() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.live)
}

// Flows describes the flows that have not ended, in the order of their ids,
// then those that are remembered.
func (b *Broker) Flows() []FlowInfo {
	b.mu.Lock()
	flows := append(b.sortedLive(), b.ended...) // at once, so that none is missed
	b.mu.Unlock()
	infos := make([]FlowInfo, len(flows))
	for i, f := range flows {
		infos[i] = f.Info()
	}
	return infos
}

// liveFlows answers the flows that have not ended, the oldest first.
func (b *Broker) liveFlows() []*Flow {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sortedLive()
}

func (b *Broker) sortedLive() []*Flow {
	return slices.SortedFunc(maps.Values(b.live), func(a, b *Flow) int { return cmp.Compare(a.id, b.id) })
}

// refusal is why a BOT does not become a flow.
type refusal struct {
	reason flow.Reason
	detail string
}

// register gives f an id and a place among the live flows, or says why not.
func (b *Broker) register(f *Flow) *refusal {
	if b.full() {
		return &refusal{flow.Overloaded, "the gateway holds as many bytes as it may"}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.draining:
		return &refusal{flow.Draining, "the gateway is shutting down"}
	case len(b.live) >= b.options.MaxFlows:
		return &refusal{flow.Overloaded, "the gateway has reached its number of flows"}
	case b.pending >= b.options.MaxPending:
		return &refusal{flow.Overloaded, "too many flows wait for a handler"}
	}
	b.lastID++
	f.id = b.lastID
	f.opened = time.Now()
	b.live[f.id] = f
	b.pending++
	return nil
}

// settled counts a flow out of the pending ones.
func (b *Broker) settled() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending--
}

// forget moves an ended flow from the live ones to the remembered ones.
func (b *Broker) forget(f *Flow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.live, f.id)
	b.drained()
	switch {
	case len(b.ended) < b.options.KeepEnded:
		b.ended = append(b.ended, f)
	case b.options.KeepEnded > 0:
		b.ended[b.oldest] = f
		b.oldest = (b.oldest + 1) % b.options.KeepEnded
	}
}
