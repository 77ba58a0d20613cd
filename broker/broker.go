// Package broker pairs clients with handlers and relays flows between them. It
// knows neither ZeroMQ nor gRPC: a transport attaches a Link for each of its
// peers and passes on what the peer sends.
//
// Locks are taken in the order Flow, route table, listener group, Broker, link,
// with that of the peers' table taken alone; none is held while something waits.
package broker

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/idtable"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/timeshare"
	"github.com/zioflow/gateway/internal/logs"
)

// Broker is the routing core. All its methods may be called concurrently.
type Broker struct {
	options   atomic.Pointer[Options]
	log       *slog.Logger
	lines     *logs.Sampler // what peers can have logged
	router    routing.Router
	listeners listeners.Registry
	watchers  watchers
	// liveCount is live, for those who do not hold mu.
	liveCount atomic.Int64
	budget    budget.Budget
	early     budget.Budget // of peers that take part in no flow yet
	sweeper   sweeper
	peers     peerTable
	clock     ledger.Clock

	mu       sync.Mutex
	lastID   FlowID               // guarded by mu
	flows    idtable.Table[*Flow] // guarded by mu; live and remembered ones
	live     int                  // guarded by mu; how many have not ended
	held     map[string]int       // guarded by mu; live flows by the names of their peers
	pending  int                  // guarded by mu
	ended    []*Flow              // guarded by mu; a ring of at most KeepEnded
	oldest   int                  // guarded by mu; the ring's next place
	totals   totals               // guarded by mu
	draining bool                 // guarded by mu
	closed   bool                 // guarded by mu
	idle     chan struct{}        // guarded by mu; the present or next Drain's
	factory  sync.WaitGroup       // the factories' goroutines
}

// New makes a broker without routes.
func New(options Options) (*Broker, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	b := &Broker{
		log:    options.Log,
		lines:  logs.NewSampler(options.Log, logs.Options{}),
		peers:  peerTable{byTransport: map[string]int{}},
		clock:  ledger.NewClock(),
		idle:   make(chan struct{}),
		held:   map[string]int{},
		totals: totals{ended: map[flow.Reason]uint64{}, refused: map[flow.Reason]uint64{}},
	}
	b.router.Scheduler, b.router.Log = timeshare.New(), options.Log
	b.listeners.Table = &b.router.Table
	b.options.Store(&options)
	b.setBudgets(&options)
	return b, nil
}

// Options answers the broker's limits.
func (b *Broker) Options() Options { return *b.limits() }

// limits are not to be changed.
func (b *Broker) limits() *Options { return b.options.Load() }

// SetLimits puts other limits to use for flows opened from now on; only MaxBytes
// concerns those there are. The number of ended flows that are remembered, the log
// and the observers stay. A transport that was made for smaller credits or messages
// does not grow by it.
func (b *Broker) SetLimits(options Options) error {
	if err := options.Validate(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.limits()
	options.KeepEnded, options.Log = was.KeepEnded, was.Log
	options.Observers, options.Denied = was.Observers, was.Denied
	b.options.Store(&options)
	b.setBudgets(&options)
	return nil
}

// Drain refuses every BOT from now on that would begin a flow; handlers still
// reach the flows that are pending. The channel is closed when no flow is left,
// unless Undrain comes before that: then never. Drain while draining changes
// nothing and answers the same channel.
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
	if b.draining && b.live == 0 {
		close(b.idle)
	}
}

// Undrain takes new flows again. It answers false after Close, which is for good.
func (b *Broker) Undrain() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.draining && !b.closed {
		b.draining = false
		b.idle = make(chan struct{}) // the next Drain's
	}
	return !b.closed
}

// Close refuses new flows, ends the ones there are for that reason, and returns
// when their factories have returned.
func (b *Broker) Close(reason flow.Reason, detail string) {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.Drain()
	for _, f := range b.liveFlows() {
		f.stop(reason, detail)
	}
	b.factory.Wait()
	b.sweeper.running.Wait()
}

// Live counts the flows that have not ended.
func (b *Broker) Live() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live
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
	flows := make([]*Flow, 0, b.live)
	for f := range b.flows.All {
		if !f.forgotten {
			flows = append(flows, f)
		}
	}
	return flows
}

// register gives f an id and a place among the live flows, or says why not.
func (b *Broker) register(f *Flow) *flow.Error {
	if b.budget.Full() {
		return &flow.Error{Reason: flow.Overloaded, Detail: "the gateway holds as many bytes as it may"}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.draining:
		return &flow.Error{Reason: flow.Draining, Detail: "the gateway is shutting down"}
	case b.live >= b.limits().MaxFlows:
		return &flow.Error{Reason: flow.Overloaded, Detail: "the gateway has reached its number of flows"}
	case b.pending >= b.limits().MaxPending:
		return &flow.Error{Reason: flow.Overloaded, Detail: "too many flows wait for a handler"}
	}
	b.lastID++
	f.id = b.lastID
	f.opened = time.Now()
	b.flows.Add(uint64(f.id), f)
	b.live++
	b.liveCount.Add(1)
	b.pending++
	return nil
}

// settled counts a flow out of the pending ones.
func (b *Broker) settled() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending--
}

// forget moves an ended flow from the live ones to the remembered ones. f.mu is
// held.
func (b *Broker) forget(f *Flow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f.forgotten = true
	_, since := f.account.HeldUpBy()
	b.totals.add(f, since)
	b.live--
	b.liveCount.Add(-1)
	b.drained()
	gone := f
	switch {
	case len(b.ended) < b.limits().KeepEnded:
		b.ended = append(b.ended, f)
		return
	case b.limits().KeepEnded > 0:
		gone, b.ended[b.oldest] = b.ended[b.oldest], f
		b.oldest = (b.oldest + 1) % b.limits().KeepEnded
	}
	b.flows.Remove(uint64(gone.id))
}
