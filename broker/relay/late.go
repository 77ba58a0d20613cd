package relay

import (
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// awaitAnswers gives the peers whose connections go on as long to answer the EOT of a
// flow that has ended as they have for any other. f.mu is held; the flow has just ended.
func (f *Flow) awaitAnswers() {
	for side, peer := range f.peers {
		if peer != nil && peer.Stays && f.state.Owes(flow.Side(side)) {
			f.owing[side] = peer
		}
	}
	if f.owing != [2]*Party{} {
		f.setDeadline(f.limits.EOTTimeout)
	}
}

// receiveLate takes a message that came when the flow had ended. f.mu is held.
func (f *Flow) receiveLate(from flow.Side, head zio.Head) {
	if f.owing[from] == nil {
		return
	}
	var fx flow.Effects
	f.state, fx = f.state.Late(from, head.Type)
	f.remind(from, fx.Remind[from])
	f.settleAnswer(from)
}

// remindAll sends an EOT once more to whom has not answered the first. f.mu is held.
func (f *Flow) remindAll() {
	for side := range f.owing {
		if f.owing[side] == nil {
			continue
		}
		var fx flow.Effects
		f.state, fx = f.state.Overdue(flow.Side(side))
		f.remind(flow.Side(side), fx.Remind[side])
		f.settleAnswer(flow.Side(side))
	}
}

// settleAnswer lets a peer go that owes no answer any more. f.mu is held.
func (f *Flow) settleAnswer(side flow.Side) {
	if !f.state.Owes(side) {
		f.owing[side] = nil
	}
	if f.owing == [2]*Party{} {
		f.setDeadline(0)
	}
}

// ForgetAnswer is settleAnswer for a peer that has left or begun anew.
func (f *Flow) ForgetAnswer(side flow.Side) {
	f.mu.Lock()
	defer f.unlock()
	if f.owing[side] == nil {
		return
	}
	f.owing[side] = nil
	if f.owing == [2]*Party{} {
		f.setDeadline(0) // which would keep the flow in memory
	}
}

// remind sends a second EOT to a peer whose connection goes on, to others none. f.mu is
// held.
func (f *Flow) remind(side flow.Side, eot flow.OwnEOT) {
	peer := f.owing[side]
	if peer == nil {
		peer = f.peers[side]
	}
	if !eot.Send || peer == nil || !peer.Stays {
		return
	}
	if peer.Link.Deliver(f.ownEOT(eot)) == nil {
		f.unflushed[side] = peer.Link
	}
}
