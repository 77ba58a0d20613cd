package broker

import (
	"cmp"
	"slices"
)

// roll holds values by their ids, which only rise. The zero roll is empty. It
// does no locking.
type roll[T any] struct {
	entries []entry[T] // in the order of their ids
	gaps    int        // entries that have been taken out
}

type entry[T any] struct {
	id    uint64
	gone  bool
	value T
}

// add puts in a value with an id above all others.
func (r *roll[T]) add(id uint64, value T) {
	r.entries = append(r.entries, entry[T]{id: id, value: value})
}

// size is how many values there are.
func (r *roll[T]) size() int { return len(r.entries) - r.gaps }

// search answers the place of an id, or of the next higher one.
func (r *roll[T]) search(id uint64) (int, bool) {
	i, found := slices.BinarySearchFunc(r.entries, id, func(e entry[T], id uint64) int { return cmp.Compare(e.id, id) })
	return i, found && !r.entries[i].gone
}

// find answers the value with that id.
func (r *roll[T]) find(id uint64) (value T, found bool) {
	i, found := r.search(id)
	if found {
		value = r.entries[i].value
	}
	return value, found
}

// remove takes a value out, if it is there. The gap is closed when half of the
// entries are gaps.
func (r *roll[T]) remove(id uint64) {
	i, found := r.search(id)
	if !found {
		return
	}
	r.entries[i] = entry[T]{id: id, gone: true}
	r.gaps++
	if r.gaps <= len(r.entries)/2 {
		return
	}
	kept := make([]entry[T], 0, 2*r.size())
	for _, e := range r.entries {
		if !e.gone {
			kept = append(kept, e)
		}
	}
	r.entries, r.gaps = kept, 0
}

// before appends to page up to n values with ids below that, the highest first.
func (r *roll[T]) before(id uint64, n int, page []T) []T {
	i, _ := r.search(id)
	for i--; i >= 0 && n > 0; i-- {
		if e := r.entries[i]; !e.gone {
			page = append(page, e.value)
			n--
		}
	}
	return page
}

// all calls yield for every value, in the order of their ids.
func (r *roll[T]) all(yield func(T) bool) {
	for _, e := range r.entries {
		if !e.gone && !yield(e.value) {
			return
		}
	}
}
