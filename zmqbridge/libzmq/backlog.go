//go:build cgo && libzmq

package libzmq

import "time"

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

// next are the oldest ones, up to a number.
func (b *backlog) next(most int) []*parcel { return b.parcels[:min(most, len(b.parcels))] }

// sent takes out the n oldest ones.
func (b *backlog) sent(n int) {
	if n == 0 {
		return
	}
	clear(b.parcels[:n])
	b.parcels = b.parcels[n:]
	b.since = time.Now()
	if b.empty() {
		b.parcels = nil
	}
}

// stalled tells whether the peer has taken nothing for that long.
func (b *backlog) stalled(d time.Duration) bool { return !b.empty() && time.Since(b.since) > d }

func (b *backlog) drop() {
	for _, p := range b.parcels {
		p.Release()
	}
	b.parcels = nil
}
