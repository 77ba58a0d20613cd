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

// Info describes a flow at one ledger.Moment.
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

// Info describes the flow as it is now.
func (f *Flow) Info() Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.info()
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
