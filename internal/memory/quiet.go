package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// quietInterval is how often ReturnWhenQuiet looks: a look takes some 10 µs.
	quietInterval = time.Second
	// quietAllocation is what a quiet process allocates at most in that time, in bytes.
	quietAllocation = 1 << 20
	// worthwhile is after how many bytes allocated a collection is worth its time.
	worthwhile = 2 << 20
)

// ReturnWhenQuiet collects garbage, and returns memory to the system, once after each
// burst: when the process has allocated next to nothing for a second, and much since
// it was last done. It returns when ctx ends.
//
// The collector alone waits until the heap has doubled. After ten thousand peers have
// connected at once, for example, that moment may never come, and a good part of the
// memory that the process holds would be nobody's.
func ReturnWhenQuiet(ctx context.Context) {
	ticker := time.NewTicker(quietInterval)
	defer ticker.Stop()
	before := readHeap()
	returned := heap{} // when memory was last returned
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := readHeap()
		if now.settled(before, returned) {
			debug.FreeOSMemory()
			now = readHeap()
			returned = now
		}
		before = now
	}
}

// heap is what the runtime says of the heap at one moment, in bytes.
type heap struct {
	allocated uint64 // since the process began
	live      uint64 // what the last collection found in use
}

// settled tells whether the process has been quiet since before, and has allocated so
// much since memory was returned that it is worth doing again: 2 MiB, and a quarter of
// what is in use.
func (h heap) settled(before, returned heap) bool {
	return h.allocated-before.allocated <= quietAllocation &&
		h.allocated-returned.allocated >= max(h.live/4, worthwhile)
}

func readHeap() heap {
	samples := [...]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples[:])
	return heap{samples[0].Value.Uint64(), samples[1].Value.Uint64()}
}
