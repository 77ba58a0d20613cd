// Package ledger counts what a flow moves, and how its time is spent. It does no locking
// and keeps no time of its own.
package ledger

import (
	"math/bits"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
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

// HeldUp is whom a flow in that state waits for.
func HeldUp(s *flow.State) HeldUpBy {
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

func (w *Waits) spend(by HeldUpBy, spent time.Duration) {
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

// Add adds what other counts.
func (t *Traffic) Add(other Traffic) {
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

// Add adds what other counts.
func (s *Sizes) Add(other *Sizes) {
	for i, n := range other {
		s[i] += n
	}
}

// Moment is a time on a Clock. It is never 0.
type Moment time.Duration

// Clock never jumps and is cheap to read. Now may be called concurrently.
type Clock struct{ epoch time.Time }

// NewClock is a clock that begins now.
func NewClock() Clock { return Clock{time.Now().Add(-time.Second)} } // so that no moment is 0

// Now is the present moment.
func (c Clock) Now() Moment { return Moment(time.Since(c.epoch)) }

// At is the time of day of a moment, given the present as a time of day and as a moment;
// zero for 0.
func (m Moment) At(present time.Time, now Moment) time.Time {
	if m == 0 {
		return time.Time{}
	}
	return present.Add(time.Duration(m - now))
}

// Ledger is what one flow counts of itself. The zero Ledger is that of a flow that has just
// been opened.
type Ledger struct {
	Messages, Bytes  [2]uint64       // by side
	Data             transport.Count // DATs passed on
	Before           transport.Count // what had left for the taker before the flow began
	Crossed          transport.Count // of Data, what left for the taker, as of the end
	Sizes            Sizes           // of Data
	LastDAT, LastPAY Moment          // when the latest came; 0 for never
	Active           Moment          // when the flow became so; 0 before

	rate   rateMeter
	heldUp HeldUpBy
	since  Moment // of heldUp
	waits  Waits  // up to since
}

// HeldUpBy is whom the flow waits for, as of the latest Turn, and since when it does.
func (l *Ledger) HeldUpBy() (HeldUpBy, Moment) { return l.heldUp, l.since }

// Rate is the messages and bytes per second that were passed on, over the last 4 to 5
// seconds.
func (l *Ledger) Rate(now Moment) (messages, bytes float64) {
	return l.rate.rate(now, l.Active, l.Data)
}

// Receive counts a message from a side.
func (l *Ledger) Receive(from flow.Side, size int) {
	l.Messages[from]++
	l.Bytes[from] += uint64(size)
}

// Received is how many messages have come from both sides.
func (l *Ledger) Received() uint64 { return l.Messages[flow.Client] + l.Messages[flow.Handler] }

// Pass counts a DAT that was passed on.
func (l *Ledger) Pass(size int, now Moment) {
	l.rate.observe(now, l.Data)
	l.Data.Messages++
	l.Data.Bytes += uint64(size)
	l.Sizes.count(size)
}

// Turn takes note of whom the flow waits for from now on.
func (l *Ledger) Turn(by HeldUpBy, now Moment) {
	if l.Active == 0 {
		l.Active = now
	}
	l.waits.spend(l.heldUp, time.Duration(now-l.since))
	l.heldUp, l.since = by, now
}

// Waited is how the time was spent up to now.
func (l *Ledger) Waited(now Moment) Waits {
	waits := l.waits
	waits.spend(l.heldUp, time.Duration(now-l.since))
	return waits
}

// Traffic is what a side has sent, of a flow with that giver.
func (l *Ledger) Traffic(side, giver flow.Side) Traffic {
	t := Traffic{Messages: l.Messages[side], Bytes: l.Bytes[side]}
	if side == giver {
		t.DATs = l.Data.Messages
	}
	return t
}
