package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker"
)

const (
	// fullPatience is how long the gateway may have no room for more bytes before new peers
	// should rather go elsewhere. A flow that is slow fills it for a moment.
	fullPatience = 10 * time.Second
	fullCheck    = time.Second
)

// fullness knows since when the gateway has had no room for more bytes. Its methods may be
// called concurrently.
type fullness struct {
	since  atomic.Int64 // ns since the epoch; 0 if there is room
	ending sync.Once
	end    chan struct{}
	ended  sync.WaitGroup
}

func newFullness() *fullness { return &fullness{end: make(chan struct{})} }

// watch looks every second, until stop, and then calls looked.
func (f *fullness) watch(b *broker.Broker, looked func()) {
	f.ended.Go(func() {
		ticker := time.NewTicker(fullCheck)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				f.look(b.Exhausted(), now)
				looked()
			case <-f.end:
				return
			}
		}
	})
}

// look takes note of whether there is room.
func (f *fullness) look(full bool, now time.Time) {
	if !full {
		f.since.Store(0)
	} else {
		f.since.CompareAndSwap(0, now.UnixNano())
	}
}

// notReady is why new peers should not come, in words; empty if they may.
func (f *fullness) notReady(now time.Time) string {
	since := f.since.Load()
	if since == 0 || now.Sub(time.Unix(0, since)) < fullPatience {
		return ""
	}
	return "no room for more bytes (--max-bytes) since " + time.Unix(0, since).UTC().Format(time.RFC3339)
}

// stop ends the watching. Stopping again does nothing.
func (f *fullness) stop() {
	f.ending.Do(func() { close(f.end) })
	f.ended.Wait()
}
