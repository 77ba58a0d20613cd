package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/idtable"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
)

// registry is the flows that there are, and those that are remembered. It implements
// relay.Registry.
type registry struct {
	*Broker
	live atomic.Int64 // running, for those who do not hold mu

	mu       sync.Mutex
	last     transport.FlowID           // guarded by mu
	flows    idtable.Table[*registered] // guarded by mu; live and remembered ones
	running  int                        // guarded by mu; how many have not ended
	pending  int                        // guarded by mu
	ended    []*registered              // guarded by mu; a ring of at most KeepEnded
	oldest   int                        // guarded by mu; the ring's next place
	totals   relay.Totals               // guarded by mu; of those that have ended
	refused  map[flow.Reason]uint64     // guarded by mu
	draining bool                       // guarded by mu
	why      string                     // guarded by mu; it drains, in words
	closed   bool                       // guarded by mu
	idle     chan struct{}              // guarded by mu; the present or next drain's
	away     [2]map[string]int          // guarded by mu; flows that have not ended of which that side is at another node, by its name
}

// registered is a flow with what the registry knows of it.
type registered struct {
	*relay.Flow
	retired bool // guarded by registry.mu
}

// full is why no flow is taken in; nil if one is. mu is held.
func (r *registry) full(o *Options) *flow.Error {
	switch {
	case r.draining:
		return &flow.Error{Reason: flow.Draining, Detail: r.why}
	case r.running >= o.MaxFlows:
		return &flow.Error{Reason: flow.Overloaded, Detail: "the gateway has reached its number of flows"}
	case r.pending >= o.MaxPending:
		return &flow.Error{Reason: flow.Overloaded, Detail: "too many flows wait for a handler"}
	}
	return nil
}

// mayRegister is why register would not take a flow in now; nil if it would.
func (r *registry) mayRegister() *flow.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.full(r.limits())
}

// register gives f an id and a place among the live flows, or says why not.
func (r *registry) register(f *relay.Flow) *flow.Error {
	if r.host.Budget.Full() {
		return &flow.Error{Reason: flow.Overloaded, Detail: "the gateway holds as many bytes as it may"}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if no := r.full(r.limits()); no != nil {
		return no
	}
	r.last++
	f.Begin(r.last, time.Now())
	r.flows.Add(uint64(r.last), &registered{Flow: f})
	r.running++
	r.live.Add(1)
	r.pending++
	r.count(flow.Client, f.Peers()[flow.Client].Node, 1)
	return nil
}

// find returns a flow that has not ended or is remembered; nil if there is none.
func (r *registry) find(id transport.FlowID) *relay.Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f, ok := r.flows.Find(uint64(id)); ok {
		return f.Flow
	}
	return nil
}

// before appends to page flows with ids below that, the latest first, as far as it has
// room.
func (r *registry) before(id transport.FlowID, page []*registered) []*registered {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flows.Before(uint64(id), cap(page), page)
}

// present is the flows that have not ended, the oldest first, and with remembered behind
// them those that are.
func (r *registry) present(remembered bool) []*relay.Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	flows := r.sorted()
	if remembered {
		for _, f := range r.ended {
			flows = append(flows, f.Flow)
		}
	}
	return flows
}

// sorted is the flows that have not ended, the oldest first. mu is held.
func (r *registry) sorted() []*relay.Flow {
	flows := make([]*relay.Flow, 0, r.running)
	for f := range r.flows.All {
		if !f.retired {
			flows = append(flows, f.Flow)
		}
	}
	return flows
}

// refuse counts a BOT that became no flow.
func (r *registry) refuse(reason flow.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused[reason]++
}

// drain refuses new flows; idle is closed when no flow is left.
func (r *registry) drain(why string) (idle <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = why
	if !r.draining {
		r.draining = true
		r.drained()
	}
	return r.idle
}

// drained closes idle if the last flow has ended. mu is held.
func (r *registry) drained() {
	if r.draining && r.running == 0 {
		close(r.idle)
	}
}

// undrain takes new flows again; false once it is closed.
func (r *registry) undrain() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining && !r.closed {
		r.draining = false
		r.idle = make(chan struct{}) // the next drain's
	}
	return !r.closed
}

// close drains for good.
func (r *registry) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.drain(shuttingDown)
}

// Live implements relay.Registry.
func (r *registry) Live() int64 { return r.live.Load() }

// Settled implements relay.Registry.
func (r *registry) Settled(handler transport.PeerInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending--
	r.count(flow.Handler, handler.Node, 1)
}

// count counts flows of which a side is at that node; empty for this one. mu is held.
func (r *registry) count(side flow.Side, node string, n int) {
	if node == "" {
		return
	}
	if r.away[side] == nil {
		r.away[side] = map[string]int{}
	}
	if r.away[side][node] += n; r.away[side][node] == 0 {
		delete(r.away[side], node)
	}
}

// Retired implements relay.Registry: it moves the flow from the live ones to the
// remembered ones.
func (r *registry) Retired(f *relay.Flow, reason flow.Reason, adds relay.Totals) {
	r.retire(f, reason, &adds)
	for _, peer := range f.Peers() {
		r.quotas.release(peer.Name)
	}
}

func (r *registry) retire(f *relay.Flow, reason flow.Reason, adds *relay.Totals) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone, ok := r.flows.Find(uint64(f.ID()))
	if !ok {
		return
	}
	gone.retired = true
	r.totals.Ended[reason]++
	r.totals.Add(adds)
	r.running--
	r.live.Add(-1)
	for side, peer := range f.Peers() {
		r.count(flow.Side(side), peer.Node, -1)
	}
	r.drained()
	switch keep := r.limits().KeepEnded; {
	case len(r.ended) < keep:
		r.ended = append(r.ended, gone)
		return
	case keep > 0:
		gone, r.ended[r.oldest] = r.ended[r.oldest], gone
		r.oldest = (r.oldest + 1) % keep
	}
	r.flows.Remove(uint64(gone.ID()))
}

// Watched implements relay.Registry.
func (r *registry) Watched() bool { return len(r.limits().Observers) > 0 || r.history.watched() }

// Publish implements relay.Registry: it tells observers and watchers of a flow's phase.
// Each costs the same, whether it keeps up or not.
func (r *registry) Publish(info *relay.Info) {
	event := Event{Time: time.Now(), Flow: info}
	for _, o := range r.limits().Observers {
		o.Observe(event)
	}
	r.history.publish(event)
}

// Denied implements relay.Registry.
func (r *registry) Denied(peer transport.PeerInfo, what flow.Denial) { r.denied(peer, what) }
