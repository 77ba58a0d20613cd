package relay

import (
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// setDeadline replaces the flow's one deadline; 0 is none. f.mu is held.
func (f *Flow) setDeadline(after time.Duration) {
	if after == 0 {
		f.deadline = time.Time{}
		if f.timer != nil {
			f.timer.Stop()
		}
		return
	}
	f.deadline = time.Now().Add(after)
	if f.timer == nil {
		f.timer = time.AfterFunc(after, f.expire)
	} else {
		f.timer.Reset(after)
	}
}

// lateBy is how late a deadline must come to be seen for the process to have stood still
// meanwhile: it was stopped, or the machine suspended. What has arrived by then is
// looked at first, for as long as afterPause.
const (
	lateBy     = 250 * time.Millisecond
	afterPause = time.Second
)

// firstLook is when a sign of life is looked for first.
const firstLook = 20 * time.Millisecond

// looks is how often a sign of life is looked for in the time that there may be none.
const looks = 8

// progress is how far the messages of a flow have come. While it changes, the flow
// lives.
type progress struct {
	received uint64 // messages from both sides
	queued   [2]int64
	moved    [2]uint64
}

// progress is how far they have come now. f.mu is held.
func (f *Flow) progress() progress {
	p := progress{received: f.account.Received()}
	for side, peer := range f.peers {
		if peer == nil {
			continue
		}
		p.queued[side], _ = peer.Link.Queued()
		if link, sees := peer.Link.(transport.Mover); sees {
			p.moved[side] = link.Moved()
		}
	}
	return p
}

// expectLife ends the flow when there has been no sign of life for that long; 0 is for
// ever. f.mu is held.
func (f *Flow) expectLife(within time.Duration) {
	f.seen, f.life, f.allowed = f.progress(), time.Now(), within
	f.setDeadline(within)
	if within > 0 {
		f.timer.Reset(min(firstLook, within)) // what is just being written counts from about now
	}
}

// lives looks for a sign of life, and moves the deadline if there is one. f.mu is held.
func (f *Flow) lives(now time.Time) bool {
	if p := f.progress(); p != f.seen {
		f.seen, f.life = p, now
		f.deadline = now.Add(f.allowed)
	}
	if !now.Before(f.deadline) {
		return false
	}
	f.timer.Reset(min(max(f.allowed/looks, time.Millisecond), f.deadline.Sub(now)))
	return true
}

// expire is called when a deadline has come, or was replaced in that moment, or when it
// is time to look for a sign of life.
func (f *Flow) expire() {
	defer f.contain("a deadline")
	f.mu.Lock()
	defer f.unlock()
	now := time.Now()
	phase := f.state.Phase()
	switch {
	case f.deadline.IsZero():
		return
	case phase == flow.Active || phase == flow.HalfClosed:
		if f.lives(now) {
			return
		}
	case now.Before(f.deadline):
		return
	}
	if now.Sub(f.deadline) > lateBy {
		f.deadline = now.Add(afterPause)
		f.timer.Reset(afterPause)
		return
	}
	switch phase {
	case flow.Pending:
		f.apply(flow.Stopped(f.late.Reason, f.late.Detail))
	case flow.HalfClosed:
		f.apply(flow.Stopped(flow.EOTTimeout, fmt.Sprintf("EOT was not answered within %v", f.limits.EOTTimeout)))
	case flow.Active:
		f.apply(flow.Stopped(flow.IdleTimeout, fmt.Sprintf("no message within %v", f.limits.IdleTimeout)))
	case flow.Ended:
		f.remindAll()
	}
}

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
	f.clearOwing(from)
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
		f.clearOwing(flow.Side(side))
	}
}

// clearOwing lets a peer go that owes no answer any more. f.mu is held.
func (f *Flow) clearOwing(side flow.Side) {
	if !f.state.Owes(side) {
		f.owing[side] = nil
	}
	if f.owing == [2]*Party{} {
		f.setDeadline(0)
	}
}

// ForgetAnswer is clearOwing for a peer that has left or begun anew.
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
