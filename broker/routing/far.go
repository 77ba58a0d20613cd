package routing

import (
	"slices"
)

// FarRoute is a route of another node, while it is in the table: behind the routes that were
// added here, in its priority. A flow that came from another node does not take it. Its methods
// may be called concurrently.
type FarRoute struct {
	place
	table *Table
	entry *Entry // guarded by table.mu; nil when it was taken out
}

// AddFar puts a route of another node into the table. Another one may have its name.
func (t *Table) AddFar(r Route, of Far) (*FarRoute, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := &FarRoute{place: place{far: of}, table: t}
	f.entry = t.bear(r, Added, new(flowCount))
	f.entry.from = &f.place
	i, _ := slices.BinarySearchFunc(t.others, f.entry, func(a, b *Entry) int { return a.from.far.compare(b.from.far) })
	t.others = slices.Insert(t.others, i, f.entry)
	t.arrange()
	return f, nil
}

// Remove takes it out; its flows go on. Removing again does nothing.
func (f *FarRoute) Remove() {
	f.table.mu.Lock()
	defer f.table.mu.Unlock()
	if f.entry != nil {
		f.table.others = slices.DeleteFunc(f.table.others, func(e *Entry) bool { return e == f.entry })
		f.entry = nil
		f.table.arrange()
	}
}

// Hold has it take nothing until Release, and says why.
func (f *FarRoute) Hold(why *Passed) { f.held.Store(why) }

// Release undoes Hold: flows that wait for a handler ask it again.
func (f *FarRoute) Release() {
	if f.held.Swap(nil) == nil {
		return
	}
	f.table.mu.Lock()
	defer f.table.mu.Unlock()
	if f.entry == nil {
		return
	}
	again := f.table.bear(f.entry.Route, Added, f.entry.flows)
	again.from = &f.place
	f.table.others[slices.Index(f.table.others, f.entry)] = again
	f.entry = again
	f.table.arrange()
}
