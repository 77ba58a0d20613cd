package broker

import (
	"math/rand/v2"
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

// TestRollIsAMap plays the same adding, removing and finding to a roll and a
// map.
func TestRollIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var r roll[int]
	model := map[uint64]int{}
	var last uint64
	for range 5000 {
		if random.IntN(2) == 0 {
			last++
			r.add(last, int(last)*10)
			model[last] = int(last) * 10
		} else if last > 0 {
			id := last - uint64(random.IntN(int(last)))
			r.remove(id)
			delete(model, id)
		}
		id := uint64(random.IntN(int(last) + 2))
		got, found := r.find(id)
		if want, is := model[id]; got != want || found != is || r.size() != len(model) {
			t.Fatalf("found %v %v for %d, want %v %v; size %d, want %d", got, found, id, want, is, r.size(), len(model))
		}
		if len(r.entries) > 2*len(model)+1 {
			t.Fatalf("%d entries for %d values", len(r.entries), len(model))
		}
	}
	ids := make([]int, 0, len(model))
	for _, value := range model {
		ids = append(ids, value)
	}
	slices.Sort(ids)
	var all, pages []int
	for value := range r.all {
		all = append(all, value)
	}
	for before := uint64(Latest); ; before = uint64(pages[len(pages)-1] / 10) {
		page := r.before(before, 7, nil)
		if len(page) == 0 {
			break
		}
		pages = append(pages, page...)
	}
	slices.Reverse(pages)
	if !slices.Equal(all, ids) || !slices.Equal(pages, ids) {
		t.Errorf("all %v\npages %v\nwant %v", all, pages, ids)
	}
}
