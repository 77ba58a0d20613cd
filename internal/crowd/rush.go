package crowd

import (
	"sync/atomic"
	"time"
)

const (
	// mostWaiting is how many calls of a visitor may wait for a handler to begin with them
	// before no more is read from the connection; and how many one read may bring before
	// the next is a small one.
	mostWaiting = 16
	// smallRead is how much is read at once of one who calls and calls: room for a few
	// dozen calls.
	smallRead = 2 << 10
	// longestWait is how long nothing is read at the most. Handlers begin in their turn,
	// so whoever has not begun by then is not going to.
	longestWait = 100 * time.Millisecond
)

// rush is the calls of a visitor that have come in and wait for the processor. They
// cost him nothing: he may take each back as soon as he has made it, and then none of
// the limits on calls sees them. Everybody else would wait behind them.
type rush struct {
	calls   atomic.Uint64 // that have come in
	waiting atomic.Int64
	fewer   chan struct{} // has room for one; is sent to when few wait
}

// Called tells that a call has come in; Begun follows.
func (v *Visitor) Called() {
	v.rush.calls.Add(1)
	v.rush.waiting.Add(1)
}

// Begun tells that a handler has begun with a call that had come in.
func (v *Visitor) Begun() {
	waiting := &v.rush.waiting
	n := waiting.Load()
	for n > 0 && !waiting.CompareAndSwap(n, n-1) { // 0 if it was waited for too long
		n = waiting.Load()
	}
	if n-1 <= mostWaiting {
		select {
		case v.rush.fewer <- struct{}{}:
		default:
		}
	}
}

// catchUp returns when few calls wait.
func (r *rush) catchUp() {
	if r.waiting.Load() <= mostWaiting {
		return
	}
	timer := time.NewTimer(longestWait)
	defer timer.Stop()
	for r.waiting.Load() > mostWaiting {
		select {
		case <-r.fewer:
		case <-timer.C:
			r.waiting.Store(0)
		}
	}
}

// Read implements net.Conn. One goroutine reads at a time.
func (c *Conn) Read(b []byte) (int, error) {
	r := &c.visitor.rush
	r.catchUp()
	calls := r.calls.Load()
	if calls-c.calls > mostWaiting {
		b = b[:min(len(b), smallRead)]
	}
	c.calls = calls
	return c.Conn.Read(b)
}

// Waiting is how many calls of the visitor have come in that no handler has begun with.
func (v *Visitor) Waiting() int64 { return v.rush.waiting.Load() }
