package ledger

import (
	"slices"
	"testing"
)

func TestSizesFallUnderTheirBounds(t *testing.T) {
	for _, size := range []int{0, 1, 63, 64, 65, 255, 256, 257, 1024, 1025, 4096, 4097, 1 << 20, 1<<20 + 1, 64 << 20, 64<<20 + 1, 1 << 30} {
		var s Sizes
		s.count(size)
		i := slices.Index(s[:], 1)
		if i < len(SizeBounds) && int64(size) > SizeBounds[i] || i > 0 && int64(size) <= SizeBounds[i-1] {
			t.Errorf("%d bytes were put into %d", size, i)
		}
	}
}
