// Package idtable holds values by numbers that only rise.
package idtable

import (
	"cmp"
	"slices"
)

// Table holds values by their ids, which only rise. The zero Table is empty. It does no
// locking.
type Table[T any] struct {
	entries []entry[T] // in the order of their ids
	gaps    int        // entries that have been taken out
}

type entry[T any] struct {
	id    uint64
	gone  bool
	value T
}

// Add puts in a value with an id above all others.
func (t *Table[T]) Add(id uint64, value T) {
	t.entries = append(t.entries, entry[T]{id: id, value: value})
}

// Size is how many values there are.
func (t *Table[T]) Size() int { return len(t.entries) - t.gaps }

// search returns the place of an id, or of the next higher one.
func (t *Table[T]) search(id uint64) (int, bool) {
	i, found := slices.BinarySearchFunc(t.entries, id, func(e entry[T], id uint64) int { return cmp.Compare(e.id, id) })
	return i, found && !t.entries[i].gone
}

// Find returns the value with that id.
func (t *Table[T]) Find(id uint64) (value T, found bool) {
	i, found := t.search(id)
	if found {
		value = t.entries[i].value
	}
	return value, found
}

// Remove takes a value out, if it is there. The gap is closed when half of the
// entries are gaps.
func (t *Table[T]) Remove(id uint64) {
	i, found := t.search(id)
	if !found {
		return
	}
	t.entries[i] = entry[T]{id: id, gone: true}
	t.gaps++
	if t.gaps <= len(t.entries)/2 {
		return
	}
	kept := make([]entry[T], 0, 2*t.Size())
	for _, e := range t.entries {
		if !e.gone {
			kept = append(kept, e)
		}
	}
	t.entries, t.gaps = kept, 0
}

// Before appends to page up to n values with ids below that, the highest first.
func (t *Table[T]) Before(id uint64, n int, page []T) []T {
	i, _ := t.search(id)
	for i--; i >= 0 && n > 0; i-- {
		if e := t.entries[i]; !e.gone {
			page = append(page, e.value)
			n--
		}
	}
	return page
}

// All calls yield for every value, in the order of their ids.
func (t *Table[T]) All(yield func(T) bool) {
	for _, e := range t.entries {
		if !e.gone && !yield(e.value) {
			return
		}
	}
}
