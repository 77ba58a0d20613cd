package relay

import (
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
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

// expire is called when a deadline has come, or was replaced in that ledger.Moment, or when it
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
