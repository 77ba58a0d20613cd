package relay

import (
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Take implements routing.Flow.
func (f *Flow) Take(e *routing.Entry) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Phase() != flow.Pending {
		return false
	}
	f.entry = e
	f.late = flow.Error{Reason: flow.HandlerTimeout, Detail: "no handler came in time"}
	e.Begin()
	return true
}

// GiveBack implements routing.Flow.
func (f *Flow) GiveBack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Phase() == flow.Pending {
		f.entry.End()
		f.entry = nil
	}
}

// Offer implements routing.Flow.
func (f *Flow) Offer(newCID func() uint64) (offer routing.Offer, pending bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Phase() != flow.Pending {
		return routing.Offer{}, false, nil
	}
	direction := f.direction.Reverse()
	credit := max(0, min(f.offered.Value, f.maxCredit()))
	cid := newCID()
	label, err := zio.RewriteBot(f.bot.Label, direction, credit, cid)
	if err != nil {
		return routing.Offer{}, true, err
	}
	offered := *f.bot
	offered.Label = label
	return routing.Offer{CID: cid, Bot: &offered, Direction: direction, Credit: credit, Client: f.infos[flow.Client]}, true, nil
}

// IfLate implements routing.Flow.
func (f *Flow) IfLate(late *flow.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.late = *late
}

// OnEnd implements routing.Flow.
func (f *Flow) OnEnd(done func(flow.Reason)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Phase() == flow.Ended {
		done(f.state.Reason())
		return
	}
	f.onEnd = append(f.onEnd, done)
}

// Refuse implements routing.Flow.
func (f *Flow) Refuse(no *flow.Error) {
	if no.Denied != "" {
		f.mu.Lock()
		client := f.infos[flow.Client]
		f.mu.Unlock()
		f.host.Log.Warn("BOT refused", "flow", f.id, "peer", client, "reason", no.Reason.String(), "detail", no.Detail, "cause", string(no.Denied))
		f.host.Registry.Denied(client, no.Denied)
	}
	f.stopPending(no.Reason, no.Detail)
}

// TakenBy is the route that the flow took, and who handles it; empty while there is
// none.
func (f *Flow) TakenBy() (route string, handler transport.PeerInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.route(), f.infos[flow.Handler]
}
