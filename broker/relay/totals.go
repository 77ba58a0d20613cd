package relay

import (
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/transport"
)

// Totals is what flows add up to.
type Totals struct {
	Ended map[flow.Reason]uint64 // how many, by reason
	Sides [2]ledger.Traffic      // what clients and handlers have sent
	Data  transport.Count        // the DATs passed on
	Sizes ledger.Sizes           // likewise
	Waits ledger.Waits           // how their active time was spent
}

// Add takes in what other flows add up to. Ended must have been made, unless other's is
// empty.
func (t *Totals) Add(other *Totals) {
	for reason, n := range other.Ended {
		t.Ended[reason] += n
	}
	for side := range t.Sides {
		t.Sides[side].Add(other.Sides[side])
	}
	t.Data.Messages += other.Data.Messages
	t.Data.Bytes += other.Data.Bytes
	t.Sizes.Add(&other.Sizes)
	t.Waits.Giver += other.Waits.Giver
	t.Waits.Taker += other.Waits.Taker
	t.Waits.Gateway += other.Waits.Gateway
}

// totals is what the flow adds to them by then. f.mu is held.
func (f *Flow) totals(now ledger.Moment) Totals {
	a, giver := &f.account, f.state.Giver()
	t := Totals{Data: a.Data, Sizes: a.Sizes, Waits: a.Waited(now)}
	for side := range t.Sides {
		t.Sides[side] = a.Traffic(flow.Side(side), giver)
	}
	return t
}

// total is totals as of the end. f.mu is held.
func (f *Flow) total() Totals {
	_, since := f.account.HeldUpBy()
	t := f.totals(since)
	t.Ended = map[flow.Reason]uint64{f.state.Reason(): 1}
	return t
}

// Present is what live flows have under way.
type Present struct {
	Pending, Active, HalfClosed int
	Held, Outstanding, Withheld int64
	Queued, QueuedBytes         int64
}

// AddTo adds what the flow is at that moment. One that has ended meanwhile counts as
// ended.
func (f *Flow) AddTo(t *Totals, p *Present, now ledger.Moment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, since := f.account.HeldUpBy()
	own := f.totals(max(now, since))
	t.Add(&own)
	switch f.state.Phase() {
	case flow.Pending:
		p.Pending++
	case flow.Active:
		p.Active++
	case flow.HalfClosed:
		p.HalfClosed++
	case flow.Ended:
		t.Ended[f.state.Reason()]++
		return
	}
	credit := f.state.Credit()
	p.Held += credit.Released()
	p.Withheld += credit.Withheld()
	p.Outstanding += credit.Total() - credit.Released() - credit.Withheld()
	messages, bytes := f.queued(f.state.Giver().Other())
	p.Queued += messages
	p.QueuedBytes += bytes
}
