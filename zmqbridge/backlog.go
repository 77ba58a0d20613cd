package zmqbridge

import (
	"errors"
	"syscall"
	"time"
)

// backlog is what libzmq would not take for one peer: because its queue is
// full, or because it has just died and libzmq has not noticed (BRK-16).
type backlog struct {
	parcels []*parcel
	since   time.Time // when the oldest one was first refused
}

func (b *backlog) empty() bool { return len(b.parcels) == 0 }

// add takes a parcel.
func (b *backlog) add(p *parcel) {
	if b.empty() {
		b.since = time.Now()
	}
	b.parcels = append(b.parcels, p)
}

// flush sends what can be sent. It answers true when the peer has taken nothing
// for as long as stall.
func (b *backlog) flush(stall time.Duration, send func(*parcel) error) (stalled bool) {
	for !b.empty() {
		if err := send(b.parcels[0]); errors.Is(err, syscall.EAGAIN) {
			return time.Since(b.since) > stall
		}
		b.parcels[0] = nil
		b.parcels = b.parcels[1:]
		b.since = time.Now()
	}
	b.parcels = nil
	return false
}

func (b *backlog) drop() {
	for _, p := range b.parcels {
		p.Release()
	}
	b.parcels = nil
}
