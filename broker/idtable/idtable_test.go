package idtable

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTableIsAMap plays the same adding, removing and finding to a table and a
// map.
func TestTableIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var table Table[int]
	model := map[uint64]int{}
	var last uint64
	for range 5000 {
		if random.IntN(2) == 0 {
			last++
			table.Add(last, int(last)*10)
			model[last] = int(last) * 10
		} else if last > 0 {
			id := last - uint64(random.IntN(int(last)))
			table.Remove(id)
			delete(model, id)
		}
		id := uint64(random.IntN(int(last) + 2))
		got, found := table.Find(id)
		if want, is := model[id]; got != want || found != is || table.Size() != len(model) {
			t.Fatalf("found %v %v for %d, want %v %v; size %d, want %d", got, found, id, want, is, table.Size(), len(model))
		}
		if len(table.entries) > 2*len(model)+1 {
			t.Fatalf("%d entries for %d values", len(table.entries), len(model))
		}
	}
	ids := make([]int, 0, len(model))
	for _, value := range model {
		ids = append(ids, value)
	}
	slices.Sort(ids)
	var all, pages []int
	for value := range table.All {
		all = append(all, value)
	}
	for before := uint64(math.MaxUint64); ; before = uint64(pages[len(pages)-1] / 10) {
		page := table.Before(before, 7, nil)
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
