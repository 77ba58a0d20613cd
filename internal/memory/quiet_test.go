package memory

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"time"
)

func TestSettled(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, test := range map[string]struct {
		before, now, returned uint64 // allocated then, in MiB
		live                  uint64 // now, in MiB
		want                  bool
	}{
		"quiet after a burst":                {before: 500, now: 501, returned: 400, live: 50, want: true},
		"in the middle of it":                {before: 498, now: 500, returned: 400, live: 50, want: false},
		"nothing since":                      {before: 400, now: 400, returned: 400, live: 50, want: false},
		"less than a quarter":                {before: 409, now: 410, returned: 400, live: 50, want: false},
		"a quarter":                          {before: 413, now: 413, returned: 400, live: 50, want: true},
		"a small process, next to nothing":   {before: 401, now: 401, returned: 400, live: 1, want: false},
		"a small process, worth the trouble": {before: 401, now: 402, returned: 400, live: 1, want: true},
	} {
		now := heap{test.now * mib, test.live * mib}
		if got := now.settled(heap{allocated: test.before * mib}, heap{allocated: test.returned * mib}); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

// TestReturnWhenQuiet: what a burst has left is collected though nothing else is
// allocated.
func TestReturnWhenQuiet(t *testing.T) { //nolint:paralleltest // the heap is everybody's
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector would do nothing by itself
	const size = 64 << 20
	kept := make([]byte, size)
	before := objects()
	runtime.KeepAlive(kept)

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { ReturnWhenQuiet(ctx) })
	defer running.Wait()
	defer cancel()
	for deadline := time.Now().Add(20 * time.Second); objects() > before-size/2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still there, of %d", objects(), before)
		}
	}
}

// objects is what is on the heap, with what nobody refers to any longer, in bytes.
func objects() uint64 {
	sample := [...]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample[:])
	return sample[0].Value.Uint64()
}
