package broker

import (
	"math/bits"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// HeldUpBy is whom an active flow waits for.
//
// The ledger alone says who that is. A DAT needs credit, so while the giver has
// some, the next DAT is up to the giver. While it has none, the next DAT needs a
// PAY first: that is up to the taker, or to the gateway if the taker has paid
// and the gateway keeps it back. Between a fast and a slow peer the ledger
// swings to one end and stays there: a taker that cannot keep up leaves its
// giver without credit nearly all of the time, a giver that cannot keep up always
// has some left. So the greatest share of the time is who holds the flow up. What
// a message takes to travel counts for the peer that it comes from or goes to.
type HeldUpBy uint8

// Whom a flow may wait for.
const (
	ByNobody   HeldUpBy = iota // the flow is not active
	ByGiver                    // it has credit
	ByTaker                    // it has not paid
	ByGateway                  // it withholds what the taker has paid
	heldUpKind = iota
)

var heldUpNames = [heldUpKind]string{ByGiver: "giver", ByTaker: "taker", ByGateway: "gateway"}

// String is the word for it; empty for ByNobody.
func (h HeldUpBy) String() string { return heldUpNames[h] }

// heldUpBy is whom a flow in that state waits for.
func heldUpBy(s *flow.State) HeldUpBy {
	if s.Phase() != flow.Active {
		return ByNobody
	}
	credit := s.Credit()
	switch {
	case credit.Released() > 0:
		return ByGiver
	case credit.Withheld() > 0:
		return ByGateway
	default:
		return ByTaker
	}
}

// Waits is how the time in which flows were active was spent.
type Waits struct{ Giver, Taker, Gateway time.Duration }

// Total is the time in which they were active.
func (w Waits) Total() time.Duration { return w.Giver + w.Taker + w.Gateway }

func (w *Waits) add(by HeldUpBy, spent time.Duration) {
	switch by {
	case ByGiver:
		w.Giver += spent
	case ByTaker:
		w.Taker += spent
	case ByGateway:
		w.Gateway += spent
	}
}

// Traffic counts what one side has sent.
type Traffic struct {
	// Messages is all that came, BOT and EOT included, Bytes their payload.
	Messages, Bytes uint64
	// DATs counts those that were passed on.
	DATs uint64
}

func (t *Traffic) add(other Traffic) {
	t.Messages += other.Messages
	t.Bytes += other.Bytes
	t.DATs += other.DATs
}

// Sizes counts DATs by their payload: Sizes[i] those of at most SizeBounds[i]
// bytes that are above the bound before it, the last one those above all bounds.
type Sizes [len(SizeBounds) + 1]uint64

// SizeBounds are the upper bounds of Sizes, in bytes.
var SizeBounds = [...]int64{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20}

func (s *Sizes) count(size int) {
	i := 0
	if size > 64 {
		i = min((bits.Len(uint(size-1))-5)/2, len(SizeBounds))
	}
	s[i]++
}

func (s *Sizes) add(other *Sizes) {
	for i, n := range other {
		s[i] += n
	}
}

// moment is a time on the broker's own clock, which never jumps and is cheap to
// read. It is never 0.
type moment time.Duration

func (b *Broker) now() moment { return moment(time.Since(b.epoch)) }

// at is the time of day of a moment; zero for 0. The present is both present
// and now.
func (m moment) at(present time.Time, now moment) time.Time {
	if m == 0 {
		return time.Time{}
	}
	return present.Add(time.Duration(m - now))
}

// account is what a flow counts of itself. The flow's mu guards it. Nothing is
// counted after the end, when it is added to the broker's totals.
type account struct {
	messages, bytes  [2]uint64 // by side
	data             Count     // DATs passed on
	before           Count     // what had left for the taker before the flow began
	crossed          Count     // of data, what left for the taker, as of the end
	sizes            Sizes     // of data
	lastDAT, lastPAY moment
	active           moment // when it became so
	pace             pace

	heldUp HeldUpBy
	since  moment // of heldUp
	waits  Waits  // up to since
}

// receive counts a message from a side.
func (a *account) receive(from flow.Side, size int) {
	a.messages[from]++
	a.bytes[from] += uint64(size)
}

// received is how many messages have come from both sides.
func (a *account) received() uint64 { return a.messages[flow.Client] + a.messages[flow.Handler] }

// pass counts a DAT that was passed on.
func (a *account) pass(size int, now moment) {
	a.pace.tick(now, a.data)
	a.data.Messages++
	a.data.Bytes += uint64(size)
	a.sizes.count(size)
}

// crossed is the DATs that have left for the taker, as far as its transport tells.
// f.mu is held.
func (f *Flow) crossed() Count {
	if !f.ended.IsZero() {
		return f.account.crossed
	}
	taker := f.peers[f.state.Giver().Other()]
	if taker == nil {
		return f.account.data
	}
	link, knows := taker.link.(Departed)
	if !knows {
		return f.account.data
	}
	left, before, most := link.Departed(), f.account.before, f.account.data
	// What an earlier flow has left in the link leaves it during this one.
	return Count{
		Messages: min(left.Messages-min(before.Messages, left.Messages), most.Messages),
		Bytes:    min(left.Bytes-min(before.Bytes, left.Bytes), most.Bytes),
	}
}

// departure has only those DATs count that leave from now on. f.mu is held.
func (f *Flow) departure() {
	if taker := f.peers[f.state.Giver().Other()]; taker != nil {
		if link, knows := taker.link.(Departed); knows {
			f.account.before = link.Departed()
		}
	}
}

// turn takes note of whom the flow waits for from now on.
func (a *account) turn(by HeldUpBy, now moment) {
	if a.active == 0 {
		a.active = now
	}
	a.waits.add(a.heldUp, time.Duration(now-a.since))
	a.heldUp, a.since = by, now
}

// waited is how the time was spent up to now.
func (a *account) waited(now moment) Waits {
	waits := a.waits
	waits.add(a.heldUp, time.Duration(now-a.since))
	return waits
}

// traffic is what a side has sent, of a flow with that giver.
func (a *account) traffic(side, giver flow.Side) Traffic {
	t := Traffic{Messages: a.messages[side], Bytes: a.bytes[side]}
	if side == giver {
		t.DATs = a.data.Messages
	}
	return t
}

// count takes a message of a side into the account. Only a DAT or a PAY, or one
// that changes whom the flow waits for, costs a look at the clock. f.mu is held.
func (f *Flow) count(from flow.Side, t zio.Type, size int, passed bool) {
	a := &f.account
	a.receive(from, size)
	var now moment
	switch t {
	case zio.DAT:
		now = f.broker.now()
		a.lastDAT = now
		if passed {
			a.pass(size, now)
		}
	case zio.PAY:
		now = f.broker.now()
		a.lastPAY = now
	}
	f.turn(now)
}

// turn sees whether the state has changed whom the flow waits for; now may be 0.
// f.mu is held.
func (f *Flow) turn(now moment) {
	by := heldUpBy(&f.state)
	if by == f.account.heldUp {
		return
	}
	if now == 0 {
		now = f.broker.now()
	}
	f.account.turn(by, now)
}
