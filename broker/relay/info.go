package relay

import (
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// keepLabel is how long a label may be, in bytes, to be remembered after the end.
const keepLabel = 4 << 10

// Info describes a flow at one moment.
type Info struct {
	ID     transport.FlowID
	Opened time.Time
	// Ended is when it did; zero before.
	Ended time.Time
	// Deadline is when the present phase is given up; zero for never.
	Deadline        time.Time
	Phase           flow.Phase
	Reason          flow.Reason
	Detail          string
	Client, Handler transport.PeerInfo
	// Route is the name of the route that the flow took; empty if none did.
	Route string
	// Direction is the client's.
	Direction zio.Direction
	// Label is the client's BOT's, not to be changed. After the end it is missing
	// if it has more than 4 KiB.
	Label []byte
	// Offered is the client's offer of credit, 0 or less if it left that to the
	// handler.
	Offered int64
	// Credit is the total agreed, 0 while pending; Paid what the giver holds.
	Credit, Paid int64
	// Withheld is what the taker has paid and the giver not been given, for want
	// of memory; Queued what the taker has not been sent yet.
	Withheld int64
	Queued   int64
	// QueuedBytes is the weight of that: the payload, and what unusual labels and
	// numbers of parts take.
	QueuedBytes int64
	// FromClient and FromHandler are what the sides have sent.
	FromClient, FromHandler ledger.Traffic
	// Data is the DATs that have left for the taker, as far as its transport tells;
	// Sizes those that were passed on to it, by size.
	Data  transport.Count
	Sizes ledger.Sizes
	// MessageRate and ByteRate are what is passed on in a second, over the last 4 to 5 seconds.
	MessageRate, ByteRate float64
	// LastDAT and LastPAY are when the latest came; zero for never.
	LastDAT, LastPAY time.Time
	// HeldUpBy is whom it waits for now, Waits how its active time was spent.
	HeldUpBy ledger.HeldUpBy
	Waits    ledger.Waits
}

// Outstanding is the DATs that the taker has not paid for, of those that it may
// have at once: Credit less what the giver holds and what is withheld.
func (i *Info) Outstanding() int64 { return i.Credit - i.Paid - i.Withheld }

// AgreedOrOffered is the total, or while there is none the client's offer; 0 if
// that is left to the handler.
func (i *Info) AgreedOrOffered() int64 {
	if i.Credit > 0 {
		return i.Credit
	}
	return max(0, i.Offered)
}

// Age is how long the flow has lived by then; if it has ended, in all.
func (i *Info) Age(now time.Time) time.Duration {
	if i.Phase == flow.Ended {
		now = i.Ended
	}
	return now.Sub(i.Opened)
}

// SinceDAT is how long ago its last DAT came by then, or its BOT if none has come; if it has
// ended, before its end.
func (i *Info) SinceDAT(now time.Time) time.Duration {
	since := i.LastDAT
	if since.IsZero() {
		since = i.Opened
	}
	if i.Phase == flow.Ended {
		now = i.Ended
	}
	return max(0, now.Sub(since))
}

// Info describes the flow as it is now.
func (f *Flow) Info() Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.info()
}

// Pace is how a flow goes on, in the numbers by which flows are put in order: as in Info.
type Pace struct {
	Phase                 flow.Phase
	MessageRate, ByteRate float64
	Waits                 ledger.Waits
}

// Pace is a part of Info that costs little: for who looks at all flows to find a few.
func (f *Flow) Pace() Pace {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.host.Clock.Now()
	p := Pace{Phase: f.state.Phase(), Waits: f.account.Waited(now)}
	p.MessageRate, p.ByteRate = f.account.Rate(now)
	return p
}

// ClientBot is the client's BOT as it came, without its payload; nil if the flow has ended.
func (f *Flow) ClientBot() *zio.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bot == nil {
		return nil
	}
	return &zio.Message{Level: f.bot.Level, Form: f.bot.Form, Label: f.bot.Label, Coord: f.bot.Coord}
}

// info describes the flow. f.mu is held.
func (f *Flow) info() Info {
	giver, credit, a := f.state.Giver(), f.state.Credit(), &f.account
	now, present := f.host.Clock.Now(), time.Now()
	queued, bytes := f.queued(giver.Other())
	heldUp, _ := a.HeldUpBy()
	info := Info{
		ID: f.id, Opened: f.opened, Ended: f.ended, Deadline: f.deadline, Phase: f.state.Phase(),
		Reason: f.state.Reason(), Detail: f.state.Detail(),
		Client: f.infos[flow.Client], Handler: f.infos[flow.Handler],
		Route: f.route(), Direction: f.direction, Label: f.label, Offered: f.offered.Value,
		Credit: credit.Total(), Paid: credit.Released(), Withheld: credit.Withheld(),
		Queued: queued, QueuedBytes: bytes,
		FromClient: a.Traffic(flow.Client, giver), FromHandler: a.Traffic(flow.Handler, giver),
		Data: f.crossed(), Sizes: a.Sizes,
		LastDAT: a.LastDAT.At(present, now), LastPAY: a.LastPAY.At(present, now),
		HeldUpBy: heldUp, Waits: a.Waited(now),
	}
	info.MessageRate, info.ByteRate = a.Rate(now)
	return info
}

// crossed is the DATs that have left for the taker, as far as its transport tells.
// f.mu is held.
func (f *Flow) crossed() transport.Count {
	if !f.ended.IsZero() {
		return f.account.Crossed
	}
	taker := f.peers[f.state.Giver().Other()]
	if taker == nil {
		return f.account.Data
	}
	link, knows := taker.Link.(transport.Departed)
	if !knows {
		return f.account.Data
	}
	left, before, most := link.Departed(), f.account.Before, f.account.Data
	// What an earlier flow has left in the link leaves it during this one.
	return transport.Count{
		Messages: min(left.Messages-min(before.Messages, left.Messages), most.Messages),
		Bytes:    min(left.Bytes-min(before.Bytes, left.Bytes), most.Bytes),
	}
}

// departure has only those DATs count that leave from now on. f.mu is held.
func (f *Flow) departure() {
	if taker := f.peers[f.state.Giver().Other()]; taker != nil {
		if link, knows := taker.Link.(transport.Departed); knows {
			f.account.Before = link.Departed()
		}
	}
}

// count takes a message of a side into the account. Only a DAT or a PAY, or one
// that changes whom the flow waits for, costs a look at the clock. f.mu is held.
func (f *Flow) count(from flow.Side, t zio.Type, size int, passed bool) {
	a := &f.account
	a.Receive(from, size)
	var now ledger.Moment
	switch t {
	case zio.DAT:
		now = f.host.Clock.Now()
		a.LastDAT = now
		if passed {
			a.Pass(size, now)
		}
	case zio.PAY:
		now = f.host.Clock.Now()
		a.LastPAY = now
	}
	f.turn(now)
}

// turn sees whether the state has changed whom the flow waits for; now may be 0.
// f.mu is held.
func (f *Flow) turn(now ledger.Moment) {
	by := ledger.HeldUp(&f.state)
	if was, _ := f.account.HeldUpBy(); by == was {
		return
	}
	if now == 0 {
		now = f.host.Clock.Now()
	}
	f.account.Turn(by, now)
}

// DescribePeer adds what the flow knows of a peer that takes part in it, and returns its own
// number; 0 if it is over. A link that describes itself knows better what has left and what is queued.
func (f *Flow) DescribePeer(p *Party, c *transport.LinkInfo, describes bool) transport.FlowID {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Phase() == flow.Ended {
		return 0
	}
	side := flow.Client
	if f.peers[flow.Handler] == p {
		side = flow.Handler
	}
	if !describes {
		c.QueuedMessages, c.QueuedBytes = f.queued(side)
		c.BytesOut = f.account.Bytes[side.Other()]
	}
	if c.LastSeen.IsZero() {
		c.LastSeen = f.lastFrom(side)
		c.BytesIn = f.account.Bytes[side]
	}
	return f.id
}

// lastFrom is when the flow has last heard from a side: its latest DAT or PAY, or
// else its BOT. f.mu is held.
func (f *Flow) lastFrom(side flow.Side) time.Time {
	last := f.account.LastPAY
	if side == f.state.Giver() {
		last = f.account.LastDAT
	}
	switch {
	case last != 0:
	case side == flow.Client:
		return f.opened
	default:
		last = f.account.Active
	}
	return last.At(time.Now(), f.host.Clock.Now())
}

// Totals is what flows add up to.
type Totals struct {
	Ended map[flow.Reason]uint64 // how many, by reason
	Sides [2]ledger.Traffic      // what clients and handlers have sent
	Data  transport.Count        // the DATs passed on
	Sizes ledger.Sizes           // likewise
	Waits ledger.Waits           // how their active time was spent
}

// Add takes in what another flow adds, but for Ended.
func (t *Totals) Add(other *Totals) {
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

// totals is what the flow adds to them by then, but for Ended. f.mu is held.
func (f *Flow) totals(now ledger.Moment) Totals {
	a, giver := &f.account, f.state.Giver()
	t := Totals{Data: a.Data, Sizes: a.Sizes, Waits: a.Waited(now)}
	for side := range t.Sides {
		t.Sides[side] = a.Traffic(flow.Side(side), giver)
	}
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
