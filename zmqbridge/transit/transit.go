// Package transit estimates how long what was written to a connection may still be on its
// way where the operating system cannot tell: in the buffers of a proxy or a tunnel, and
// of the peer's own system. A PING behind it is answered that much later.
package transit

import (
	"sync/atomic"
	"time"
)

const (
	// held is how many bytes the buffers on the way are taken to hold at most: those of the
	// four sockets of a connection through a proxy, as Linux sizes them by itself.
	held = 16 << 20

	// longest bounds the estimate, for a peer that takes next to nothing.
	longest = 30 * time.Second
)

// Meter measures one connection. The zero value is ready. Watch, Asked and Delay are
// called by one goroutine; Answered may be called concurrently with them.
type Meter struct {
	began time.Time // when the connection was first seen full; zero while it is not
	from  uint64    // bytes that had left by then
	rate  float64   // bytes a second that left while it was full the last time; 0 while unknown

	asked      atomic.Uint64 // bytes in front of the last PING
	arrived    atomic.Uint64 // bytes of which a PONG has said that they arrived
	unanswered atomic.Int64  // PINGs
}

// Watch takes note of whether more waits to be written than the system takes, and of how
// many bytes have left the system so far. It is called every now and then: a connection
// that is full at two calls in a row shows how fast its peer takes.
func (m *Meter) Watch(now time.Time, full bool, left uint64) {
	switch {
	case !full:
		m.began = time.Time{}
	case m.began.IsZero():
		m.began, m.from = now, left
	case left > m.from && now.After(m.began):
		m.rate = float64(left-m.from) / now.Sub(m.began).Seconds()
	}
}

// Asked takes note of a PING with that many bytes in front of it, since the connection
// began.
func (m *Meter) Asked(bytes uint64) {
	m.asked.Store(bytes)
	m.unanswered.Add(1)
}

// Answered takes note of a PONG: what lay in front of its PING has arrived. Which PING it
// is for is known only if there is just one.
func (m *Meter) Answered() {
	switch n := m.unanswered.Load(); {
	case n == 1:
		m.arrived.Store(m.asked.Load())
		m.unanswered.Store(0)
	case n > 1:
		m.unanswered.Add(-1)
	}
}

// Delay is how much later than at once the last PING may arrive: the time that what lies
// in front of it takes at the rate at which the peer was seen to take; 0 if the peer was
// never behind.
func (m *Meter) Delay() time.Duration {
	if m.rate == 0 {
		return 0
	}
	ahead := min(m.asked.Load()-m.arrived.Load(), held)
	return min(time.Duration(float64(ahead)/m.rate*float64(time.Second)), longest)
}
