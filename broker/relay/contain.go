package relay

import (
	"fmt"
	"runtime/debug"

	"github.com/zioflow/gateway/broker/flow"
)

// inError is the detail of what an error of the gateway's own has ended.
const inError = "an error in the gateway"

// contain is deferred by what the broker does on goroutines and timers of its own, where
// no transport stands around it: a panic ends this flow, and no other.
func (f *Flow) contain(at string) {
	if cause := recover(); cause != nil {
		f.logPanic(at, cause)
		f.abort()
	}
}

func (f *Flow) logPanic(at string, cause any) {
	f.host.Log.Error("panic on a flow", "flow", f.id, "at", at, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
}

// abort ends the flow in whatever state a panic has left it. What panics again is
// passed over.
func (f *Flow) abort() {
	f.mu.Lock()
	defer f.unlock()
	f.constrained = false
	f.host.Sweeper.unwatch(f)
	if !f.ended.IsZero() {
		return
	}
	var fx flow.Effects
	f.state, fx = f.state.Step(flow.Stopped(flow.PeerGone, inError))
	for side := range f.peers {
		f.attempt("telling a peer", func() {
			// Who was told before the panic is told once more.
			_ = f.deliver(flow.Side(side), f.ownEOT(flow.OwnEOT{Seqno: fx.EOT[side].Seqno}))
		})
	}
	before := flow.Active
	if f.request != nil {
		before = flow.Pending
	}
	f.attempt("the end", func() { f.enter(before) })
}

// attempt does a step of abort. f.mu is held.
func (f *Flow) attempt(at string, step func()) {
	defer func() {
		if cause := recover(); cause != nil {
			f.logPanic(at, cause)
		}
	}()
	step()
}
