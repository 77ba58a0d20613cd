package relay

import (
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
)

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
