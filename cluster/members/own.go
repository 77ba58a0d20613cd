package members

import (
	"cmp"
	"maps"
	"slices"
)

// load is what is known of the load of this node's own listeners, and who was told what of it.
// What changes with every flow is told short, and no more often than it is of use.
type load struct {
	// waiting is how many flows listeners have of which others are told with the next beat.
	waiting map[uint64]int
	// hurried are those that have begun to be busy, or become full, of which others were told at
	// once since the latest Tick.
	hurried map[uint64]bool
	// short are those of whose load others were told by Busy alone.
	short map[uint64]bool
}

func newLoad() load {
	return load{waiting: map[uint64]int{}, hurried: map[uint64]bool{}, short: map[uint64]bool{}}
}

// forget tells that all is known of a listener, or that it is there no more.
func (l *load) forget(id uint64) {
	delete(l.waiting, id)
	delete(l.short, id)
}

// change changes this node's own table. Load waits for the next beat, unless a listener is full or
// idle now, or was: others would offer it flows in vain, or none though it has room. Of that they are told at
// once. That there is less room, only once from one beat to the next; so that there is more is not
// told often either.
func (m *Machine) change(e Entries) {
	var whole []Listener
	var busy []Busy
	for _, l := range e.Set {
		was, there := m.own.listeners[l.ID]
		flows := was.Flows
		was.Flows = l.Flows
		switch {
		case !there || was != l:
			m.load.forget(l.ID)
			m.own.listeners[l.ID] = l
			whole = append(whole, l)
		case flows == l.Flows: // again
			delete(m.load.waiting, l.ID)
		case standing(&l, l.Flows) < standing(&l, flows):
			busy = append(busy, Busy{l.ID, l.Flows})
		case standing(&l, l.Flows) > standing(&l, flows) && !m.load.hurried[l.ID]:
			m.load.hurried[l.ID] = true
			busy = append(busy, Busy{l.ID, l.Flows})
		default:
			m.load.waiting[l.ID] = l.Flows
		}
	}
	for _, id := range e.Removed {
		m.load.forget(id)
		delete(m.own.listeners, id)
	}
	for _, r := range e.SetRoutes {
		m.own.addRoute(r)
	}
	for _, id := range e.RemovedRoutes {
		m.own.removeRoute(id)
	}
	e.Set, e.Busy = whole, m.settle(busy)
	m.tell(e)
}

// standing is how a listener with so many flows stands among others: idle, busy or full.
func standing(l *Listener, flows int) int {
	switch {
	case flows == 0:
		return 0
	case l.MaxFlows == 0 || flows < l.MaxFlows:
		return 1
	}
	return 2
}

// tellLoad tells of all load that waits.
func (m *Machine) tellLoad() {
	clear(m.load.hurried)
	var busy []Busy
	for id, flows := range m.load.waiting {
		busy = append(busy, Busy{id, flows})
	}
	slices.SortFunc(busy, func(a, b Busy) int { return cmp.Compare(a.ID, b.ID) })
	m.tell(Entries{Busy: m.settle(busy)})
}

// settle takes load over into the table, of which others are about to be told.
func (m *Machine) settle(busy []Busy) []Busy {
	for _, b := range busy {
		l := m.own.listeners[b.ID]
		l.Flows = b.Flows
		m.own.listeners[b.ID] = l
		delete(m.load.waiting, b.ID)
	}
	return busy
}

// retell tells whole of all listeners of which a node that does not know of Busy may have heard
// too little: it may have read the table before they changed.
func (m *Machine) retell() {
	var whole []Listener
	for _, id := range slices.Sorted(maps.Keys(m.load.short)) {
		whole = append(whole, m.own.listeners[id])
	}
	clear(m.load.short)
	m.tell(Entries{Set: whole})
}

// How much numbers take when they are told, in bytes: about.
const (
	numberSize = 10
	busySize   = 12
)

// Size is about what a listener takes when it is told of, in bytes.
func (l *Listener) Size() int {
	return 64 + len(l.Name) + len(l.Match) + len(l.Transport) + len(l.Address) + len(l.Identity) + len(l.Holder)
}

// Size is about what a route takes when it is told of, in bytes.
func (r *Route) Size() int { return 16 + len(r.Body) }

// tell tells others of what is in the table now, in pieces.
func (m *Machine) tell(e Entries) {
	short := m.older == 0 && m.self.Protocol >= busySince
	for _, b := range e.Busy {
		if short {
			m.load.short[b.ID] = true
		} else {
			e.Set = append(e.Set, m.own.listeners[b.ID])
		}
	}
	if !short {
		e.Busy = nil
	}
	for e.Len() > 0 {
		m.self.Number++
		m.do(Tell{Change{ID: m.self.ID, Number: m.self.Number, Entries: e.Cut(m.options.MaxChange)}})
	}
}

// Cut takes as much off the front as there is room for, and one entry at the least.
func (e *Entries) Cut(room int) (front Entries) {
	room, number := max(1, room), func(*uint64) int { return numberSize }
	front.Removed = cutFrom(&e.Removed, &room, number)
	front.RemovedRoutes = cutFrom(&e.RemovedRoutes, &room, number)
	front.Set = cutFrom(&e.Set, &room, (*Listener).Size)
	front.SetRoutes = cutFrom(&e.SetRoutes, &room, (*Route).Size)
	front.Busy = cutFrom(&e.Busy, &room, func(*Busy) int { return busySize })
	return front
}

// cutFrom takes entries off the front of a list while there is room.
func cutFrom[T any](list *[]T, room *int, size func(*T) int) (front []T) {
	n := 0
	for ; n < len(*list) && *room > 0; n++ {
		*room -= size(&(*list)[n])
	}
	front, *list = (*list)[:n:n], (*list)[n:]
	return front
}
