package broker

import (
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker/flow"
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

// expire is called when a deadline has come, or was replaced in that moment.
func (f *Flow) expire() {
	f.mu.Lock()
	defer f.unlock()
	if f.deadline.IsZero() || time.Now().Before(f.deadline) {
		return
	}
	switch f.state.Phase() {
	case flow.Pending:
		f.apply(flow.Stopped(f.late.reason, f.late.detail))
	case flow.HalfClosed:
		f.apply(flow.Stopped(flow.EOTTimeout, fmt.Sprintf("EOT was not answered within %v", f.limits.EOTTimeout)))
	case flow.Active:
		received := f.account.received()
		if f.seen == received {
			f.apply(flow.Stopped(flow.IdleTimeout, fmt.Sprintf("no message within %v", f.limits.IdleTimeout)))
			return
		}
		f.seen = received
		f.setDeadline(f.limits.IdleTimeout)
	}
}
