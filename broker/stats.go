package broker

import (
	"maps"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
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
	FromClients, FromHandlers Traffic
	// Data is the DATs passed on since then, Sizes the same by size.
	Data  Count
	Sizes Sizes
	// Waits is how the flows' active time was spent since then.
	Waits Waits

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

// totals is what the flows that have ended add up to. Broker.mu guards it.
type totals struct {
	ended   map[flow.Reason]uint64
	refused map[flow.Reason]uint64
	sides   [2]Traffic
	data    Count
	sizes   Sizes
	waits   Waits
}

// add takes in an account; f.mu is held.
func (t *totals) add(f *Flow, now ledger.Moment) {
	a, giver := &f.account, f.state.Giver()
	for side := range t.sides {
		t.sides[side].Add(a.Traffic(flow.Side(side), giver))
	}
	t.data.Messages += a.Data.Messages
	t.data.Bytes += a.Data.Bytes
	t.sizes.Add(&a.Sizes)
	waits := a.Waited(now)
	t.waits.Giver += waits.Giver
	t.waits.Taker += waits.Taker
	t.waits.Gateway += waits.Gateway
	if f.state.Phase() == flow.Ended {
		t.ended[f.state.Reason()]++
	}
}

// Stats looks at every live flow in turn, and locks one at a time. It is exact:
// each message is in it once, if it was counted before the call, and may be in it
// if it came during the call.
func (b *Broker) Stats() Stats {
	s := Stats{Listeners: b.listeners.Count(), Peers: b.peers.count()}
	sum, flows := b.snapshot(&s)
	s.OffersPending, s.OffersMade = b.router.Offers.Count()
	now := b.clock.Now()
	for _, f := range flows {
		f.addTo(&s, &sum, now)
	}
	s.Ended, s.Refused = sum.ended, sum.refused
	s.FromClients, s.FromHandlers = sum.sides[flow.Client], sum.sides[flow.Handler]
	s.Data, s.Sizes, s.Waits = sum.data, sum.sizes, sum.waits
	return s
}

// snapshot answers the totals of the flows that have ended, and all others: no
// flow is in neither or in both.
func (b *Broker) snapshot(s *Stats) (totals, []*Flow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Draining = b.draining
	s.Opened = uint64(b.lastID)
	sum := b.totals
	sum.ended, sum.refused = maps.Clone(sum.ended), maps.Clone(sum.refused)
	return sum, b.sortedLive()
}

// addTo adds what the flow is now. One that has ended since the snapshot counts
// as ended.
func (f *Flow) addTo(s *Stats, sum *totals, now ledger.Moment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, since := f.account.HeldUpBy()
	sum.add(f, max(now, since))
	switch f.state.Phase() {
	case flow.Pending:
		s.Pending++
	case flow.Active:
		s.Active++
	case flow.HalfClosed:
		s.HalfClosed++
	case flow.Ended:
		return
	}
	credit := f.state.Credit()
	s.Held += credit.Released()
	s.Withheld += credit.Withheld()
	s.Outstanding += credit.Total() - credit.Released() - credit.Withheld()
	messages, bytes := f.queued(f.state.Giver().Other())
	s.Queued += messages
	s.QueuedBytes += bytes
}

// refused counts a BOT that became no flow.
func (b *Broker) refused(reason flow.Reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.totals.refused[reason]++
}
