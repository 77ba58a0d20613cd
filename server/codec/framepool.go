package codec

import (
	"math/bits"
	"sync"
)

// FramePool implements mem.BufferPool for the frames that gRPC reads. A frame may
// stay for as long as its message waits, so its buffer is at most a quarter larger
// than it; gRPC's own pool gives four times as much. Nor are buffers cleared:
// whoever asks for one fills it.
type FramePool struct {
	pools [frameClasses]sync.Pool // of *[]byte, by class
}

const (
	leastFrame   = 1 << 10  // smaller ones are not pooled
	mostFrame    = 32 << 10 // nor larger ones
	frameClasses = 4 * 5    // four sizes between a power of two and the next
)

// frameClass returns the class of a frame of n bytes, which must be pooled, and
// the class's size.
func frameClass(n int) (class, size int) {
	octave := bits.Len(uint(n-1)) - 1 // 2^octave < n ≤ 2^(octave+1)
	step := 1 << (octave - 2)
	size = (n + step - 1) / step * step
	return 4*(octave-10) + size/step - 5, size
}

func pooled(n int) bool { return leastFrame < n && n <= mostFrame }

// Get implements mem.BufferPool.
func (p *FramePool) Get(n int) *[]byte {
	if !pooled(n) {
		b := make([]byte, n)
		return &b
	}
	class, size := frameClass(n)
	if b, ok := p.pools[class].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, size)
	return &b
}

// Put implements mem.BufferPool.
func (p *FramePool) Put(b *[]byte) {
	if n := cap(*b); pooled(n) {
		if class, size := frameClass(n); size == n {
			p.pools[class].Put(b)
		}
	}
}
