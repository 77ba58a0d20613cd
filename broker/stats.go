package broker

import (
	"maps"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
)

// Stats sums up all flows. What counts since the broker was made never falls
// from one Stats to the next.
type Stats struct {
	// Draining tells whether new flows are refused.
	Draining bool

	// Pending, Active and HalfClosed count the flows that have not ended.
	Pending, Active, HalfClosed int
	// Opened counts the BOTs that became flows since the broker was made, Ended
	// those that have ended, by reason; a reason without one may be missing.
	// Opened is the sum of Ended, Pending, Active and HalfClosed.
	Opened uint64
	Ended  map[flow.Reason]uint64
	// Refused counts the BOTs that were answered with EOT instead, by reason.
	Refused map[flow.Reason]uint64

	// FromClients and FromHandlers are what the sides have sent since the broker
	// was made.
	FromClients, FromHandlers ledger.Traffic
	// Data is the DATs passed on since then, Sizes the same by size.
	Data  transport.Count
	Sizes ledger.Sizes
	// Waits is how the flows' active time was spent since then.
	Waits ledger.Waits

	// Held, Outstanding and Withheld are the sums of the live flows' credit, as
	// in FlowInfo.
	Held, Outstanding, Withheld int64
	// Queued is the messages that wait for takers, QueuedBytes their payload.
	Queued, QueuedBytes int64

	// Peers counts the peers between Attach and Leave, by transport.
	Peers map[string]int
	// Listeners counts those that are registered.
	Listeners int
	// OffersMade counts offers since the broker was made, OffersPending those
	// that can be accepted.
	OffersMade    uint64
	OffersPending int
}

// Stats looks at every live flow in turn, and locks one at a time. It is exact:
// each message is in it once, if it was counted before the call, and may be in it
// if it came during the call.
func (b *Broker) Stats() Stats {
	s := Stats{Listeners: b.listeners.Count(), Peers: b.peers.count()}
	sum, flows := b.registry.snapshot(&s)
	s.OffersPending, s.OffersMade = b.router.Offers.Count()
	var present relay.Present
	now := b.host.Clock.Now()
	for _, f := range flows {
		f.AddTo(&sum, &present, now)
	}
	s.Pending, s.Active, s.HalfClosed = present.Pending, present.Active, present.HalfClosed
	s.Held, s.Outstanding, s.Withheld = present.Held, present.Outstanding, present.Withheld
	s.Queued, s.QueuedBytes = present.Queued, present.QueuedBytes
	s.Ended = sum.Ended
	s.FromClients, s.FromHandlers = sum.Sides[flow.Client], sum.Sides[flow.Handler]
	s.Data, s.Sizes, s.Waits = sum.Data, sum.Sizes, sum.Waits
	return s
}

// Carried counts the flows that have not ended of which a side is at another node of the
// cluster, by the node's name: in those whose client is, out those whose handler is.
func (b *Broker) Carried() (in, out map[string]int) {
	r := &b.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	in, out = map[string]int{}, map[string]int{}
	maps.Copy(in, r.away[flow.Client])
	maps.Copy(out, r.away[flow.Handler])
	return in, out
}

// snapshot returns the totals of the flows that have ended, and all others: no
// flow is in neither or in both.
func (r *registry) snapshot(s *Stats) (relay.Totals, []*relay.Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Draining = r.draining
	s.Opened = uint64(r.last)
	s.Refused = maps.Clone(r.refused)
	sum := r.totals
	sum.Ended = maps.Clone(sum.Ended)
	return sum, r.sorted()
}
