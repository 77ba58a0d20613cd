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
func (m *Machine) change(set []Listener, removed []uint64) {
	var whole []Listener
	var busy []Busy
	for _, l := range set {
		was, there := m.own[l.ID]
		flows := was.Flows
		was.Flows = l.Flows
		switch {
		case !there || was != l:
			m.load.forget(l.ID)
			m.own[l.ID] = l
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
	for _, id := range removed {
		m.load.forget(id)
		delete(m.own, id)
	}
	m.tell(whole, removed, m.settle(busy))
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
	m.tell(nil, nil, m.settle(busy))
}

// settle takes load over into the table, of which others are about to be told.
func (m *Machine) settle(busy []Busy) []Busy {
	for _, b := range busy {
		l := m.own[b.ID]
		l.Flows = b.Flows
		m.own[b.ID] = l
		delete(m.load.waiting, b.ID)
	}
	return busy
}

// retell tells whole of all listeners of which a node that does not know of Busy may have heard
// too little: it may have read the table before they changed.
func (m *Machine) retell() {
	var whole []Listener
	for _, id := range slices.Sorted(maps.Keys(m.load.short)) {
		whole = append(whole, m.own[id])
	}
	clear(m.load.short)
	m.tell(whole, nil, nil)
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

// tell tells others of what is in the table now, in pieces.
func (m *Machine) tell(set []Listener, removed []uint64, busy []Busy) {
	for _, b := range busy {
		if m.older > 0 || m.self.Protocol < busySince {
			set = append(set, m.own[b.ID])
		} else {
			m.load.short[b.ID] = true
		}
	}
	if m.older > 0 || m.self.Protocol < busySince {
		busy = nil
	}
	for len(set)+len(removed)+len(busy) > 0 {
		c := Change{ID: m.self.ID}
		room := m.options.MaxChange
		n := min(len(removed), room/numberSize)
		c.Removed, removed = removed[:n], removed[n:]
		room -= n * numberSize
		for n = 0; n < len(set) && (room > 0 || n+len(c.Removed) == 0); n++ {
			room -= set[n].Size()
		}
		c.Set, set = set[:n], set[n:]
		n = min(len(busy), max(0, room/busySize))
		if len(c.Set)+len(c.Removed) == 0 {
			n = min(len(busy), max(1, n))
		}
		c.Busy, busy = busy[:n:n], busy[n:]
		m.self.Number++
		c.Number = m.self.Number
		m.do(Tell{c})
	}
}
