//go:build cgo && libzmq

package libzmq

import "time"

// backlog is what libzmq would not take for one peer: because its queue is
// full, or because it has just died and libzmq has not noticed (BRK-16).
type backlog struct {
	messages []*frames
	since    time.Time // when the oldest one was first refused
}

func (b *backlog) empty() bool { return len(b.messages) == 0 }

// add takes a message.
func (b *backlog) add(p *frames) {
	if b.empty() {
		b.since = time.Now()
	}
	b.messages = append(b.messages, p)
}

// next are the oldest ones, up to a number.
func (b *backlog) next(limit int) []*frames { return b.messages[:min(limit, len(b.messages))] }

// sent takes out the n oldest ones.
func (b *backlog) sent(n int) {
	if n == 0 {
		return
	}
	clear(b.messages[:n])
	b.messages = b.messages[n:]
	b.since = time.Now()
	if b.empty() {
		b.messages = nil
	}
}

// stalled tells whether the peer has taken nothing for that long.
func (b *backlog) stalled(d time.Duration) bool { return !b.empty() && time.Since(b.since) > d }

func (b *backlog) drop() {
	for _, p := range b.messages {
		p.Release()
	}
	b.messages = nil
}
