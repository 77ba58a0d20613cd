package broker

import (
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// Count counts messages and their payload bytes.
type Count struct{ Messages, Bytes uint64 }

// FlowInfo describes a flow at one moment.
type FlowInfo struct {
	ID              FlowID
	Opened          time.Time
	Phase           flow.Phase
	Reason          flow.Reason
	Detail          string
	Client, Handler PeerInfo
	// Route is the name of the route that the flow took; empty if none did.
	Route string
	// Direction is the client's.
	Direction zio.Direction
	// Credit is the total agreed, 0 while pending; Paid what the giver holds.
	Credit, Paid int64
	// Withheld is what the taker has paid and the giver not been given, for want
	// of memory; Queued what the taker has not been sent yet.
	Withheld int64
	Queued   int64
	// QueuedBytes is the payload of that.
	QueuedBytes int64
	// Data is what has crossed from giver to taker.
	Data Count
}

// Info describes the flow as it is now.
func (f *Flow) Info() FlowInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.info()
}

func (f *Flow) info() FlowInfo {
	queued, bytes := f.queued(f.state.Giver().Other())
	return FlowInfo{
		ID: f.id, Opened: f.opened, Phase: f.state.Phase(),
		Reason: f.state.Reason(), Detail: f.state.Detail(),
		Client: f.infos[flow.Client], Handler: f.infos[flow.Handler],
		Route: f.route(), Direction: f.direction,
		Credit: f.state.Credit().Total(), Paid: f.state.Credit().Released(), Withheld: f.state.Credit().Withheld(),
		Queued: queued, QueuedBytes: bytes,
		Data: f.data,
	}
}
