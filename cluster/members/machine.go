package members

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Protocol is the version of what nodes say to each other, 1 the first. Nodes of the version
// before and of the one after are taken in as well: what a version adds, the one before does
// not look at, and can do without.
//
// Version 2 has added Change.Busy: who has one of version 1 among the others does without it. It
// has added routes, too: a node of version 1 counts the changes that tell of them.
const Protocol = 2

// busySince is the version from which on nodes know of Change.Busy.
const busySince = 2

// Options are a node's figures. DefaultOptions has all of them.
type Options struct {
	// Beat is how often nodes beat.
	Beat time.Duration
	// Probe is after how long without a beat a node is asked whether it is there, Dead
	// after how long without a beat or a byte it is not.
	Probe, Dead time.Duration
	// Pause is how long the time from one Tick to the next may be; what is more was no
	// time in which others could have been heard.
	Pause time.Duration
	// MaxNodes bounds the other nodes, MaxListeners the listeners of each. What goes beyond
	// is not taken in.
	MaxNodes, MaxListeners int
	// MaxRoutes and MaxRouteBytes bound the routes of each in the same way, and what all of them
	// take together.
	MaxRoutes, MaxRouteBytes int
	// MaxChange is about how large one Change may be, in bytes: one that has a single listener or
	// route may have more.
	MaxChange int
}

// DefaultOptions are those that docs/cluster.md promises figures for.
func DefaultOptions() Options {
	return Options{
		Beat: 500 * time.Millisecond, Probe: 1200 * time.Millisecond, Dead: 2500 * time.Millisecond,
		Pause: time.Second, MaxNodes: 1024, MaxListeners: 100_000, MaxRoutes: 1000, MaxRouteBytes: 4 << 20, MaxChange: 256 << 10,
	}
}

// Machine is what a node knows of the others. It is not for concurrent use.
type Machine struct {
	options Options
	self    Beat
	own     holding // as others were told
	load    load

	nodes   map[ID]*node
	names   map[string]*node // of some that have a name, the one that came last
	refused map[refusal]bool
	older   int       // nodes that do not know of Change.Busy
	greeted int       // nodes that were greeted since the latest Tick
	ticked  time.Time // the latest Tick, or the first event
	now     time.Time
	effects []Effect
}

// refusal is what was told of once.
type refusal struct {
	id  ID
	why Refusal
}

// node is another node.
type node struct {
	beat     Beat
	heard    time.Time // its latest beat
	moved    time.Time // the latest bytes of it, or when it joined
	has      holding
	short    bool   // it has routes for which there was no room
	number   uint64 // of the latest change that has been taken in
	fetching bool
	waiting  []Change // that came while the table is read, in their order
}

// holding is what a node has.
type holding struct {
	listeners  map[uint64]Listener
	routes     map[uint64]Route
	routeBytes int
}

func newHolding() holding {
	return holding{listeners: map[uint64]Listener{}, routes: map[uint64]Route{}}
}

func (h *holding) addRoute(r Route) {
	h.routes[r.ID] = r
	h.routeBytes += r.Size()
}

func (h *holding) removeRoute(id uint64) {
	if r, there := h.routes[id]; there {
		delete(h.routes, id)
		h.routeBytes -= r.Size()
	}
}

// table is the whole of it.
func (h *holding) table(id ID, number uint64) Table {
	return Table{
		ID: id, Number: number, Listeners: sorted(h.listeners, func(l Listener) uint64 { return l.ID }),
		Routes: sorted(h.routes, func(r Route) uint64 { return r.ID }),
	}
}

// maxWaiting is how many changes are kept while a table is read. What is left out is read
// later.
const maxWaiting = 64

// maxGreetings is how many nodes are greeted from one Tick to the next. All others hear the
// next beat: if many start at once, and all greeted all, each would hear as many beats as
// there are pairs of them.
const maxGreetings = 3

// New makes a machine for a node: of the beat, ID, Name, Version, Started and Address count,
// and Protocol if it is not 0, which stands for the present one.
func New(self Beat, o Options) *Machine {
	self.Protocol = cmp.Or(self.Protocol, Protocol)
	return &Machine{options: o, self: self, own: newHolding(), load: newLoad(), nodes: map[ID]*node{}, names: map[string]*node{}, refused: map[refusal]bool{}}
}

// Step takes an event and returns what is to be done, in that order.
func (m *Machine) Step(now time.Time, e Event) []Effect {
	m.now, m.effects = now, nil
	if m.ticked.IsZero() {
		m.ticked = now
	}
	switch e := e.(type) {
	case Tick:
		m.tick()
	case Heard:
		m.heard(e.Beat)
	case Told:
		m.told(e.Change)
	case Read:
		m.read(e.Table)
	case Failed:
		if n := m.nodes[e.ID]; n != nil {
			n.fetching, n.waiting = false, nil // the next beat has it read again
		}
	case Moved:
		if n := m.nodes[e.ID]; n != nil {
			if e.At.After(n.moved) {
				n.moved = e.At
			}
		}
	case Own:
		m.change(e.Entries)
	case Load:
		if said := m.self.Draining; said != e.Draining {
			m.self.Draining = e.Draining
			m.do(Say{m.self}) // others are told at once
		}
		m.self.Flows = e.Flows
	case Leave:
		m.self.Leaving = true
		m.do(Say{m.self})
	}
	return m.effects
}

// Self is what this node says of itself.
func (m *Machine) Self() Node {
	return Node{Beat: m.self, Listeners: len(m.own.listeners), Routes: len(m.own.routes), Current: true, Heard: m.now}
}

// Table is this node's own.
func (m *Machine) Table() Table { return m.own.table(m.self.ID, m.self.Number) }

// Nodes are the others, in the order of their names.
func (m *Machine) Nodes() []Node {
	all := make([]Node, 0, len(m.nodes))
	for _, n := range m.nodes {
		all = append(all, n.shown())
	}
	slices.SortFunc(all, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return all
}

// Known is what this node knows of another's table; false if it does not know the node.
func (m *Machine) Known(id ID) (Table, bool) {
	n := m.nodes[id]
	if n == nil {
		return Table{}, false
	}
	return n.has.table(id, n.number), true
}

func sorted[T any](entries map[uint64]T, id func(T) uint64) []T {
	return slices.SortedFunc(maps.Values(entries), func(a, b T) int { return cmp.Compare(id(a), id(b)) })
}

func (m *Machine) do(e Effect) { m.effects = append(m.effects, e) }

// refuse tells of a beat once.
func (m *Machine) refuse(b Beat, why Refusal) {
	key := refusal{b.ID, why}
	if m.refused[key] {
		return
	}
	if len(m.refused) >= m.options.MaxNodes { // so that strangers do not fill it
		clear(m.refused)
	}
	m.refused[key] = true
	m.do(Refused{b, why})
}

// tick looks for nodes that are silent, and beats.
func (m *Machine) tick() {
	if pause := m.now.Sub(m.ticked) - m.options.Beat; pause > m.options.Pause-m.options.Beat {
		for _, n := range m.nodes {
			n.heard, n.moved = earlier(n.heard.Add(pause), m.now), earlier(n.moved.Add(pause), m.now)
		}
	}
	m.ticked, m.greeted = m.now, 0
	for _, n := range m.silent() {
		if min(m.now.Sub(n.heard), m.now.Sub(n.moved)) >= m.options.Dead {
			m.leave(n, Silent)
		} else {
			m.do(Probe{n.shown()})
		}
	}
	m.tellLoad()
	m.do(Say{m.self})
}

// silent are the nodes that have missed beats, in the order of their IDs.
func (m *Machine) silent() (all []*node) {
	for _, n := range m.nodes {
		if m.now.Sub(n.heard) >= m.options.Probe {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b *node) int { return cmp.Compare(a.beat.ID, b.beat.ID) })
	return all
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// heard takes a beat.
func (m *Machine) heard(b Beat) {
	if b.ID == m.self.ID {
		return
	}
	n := m.nodes[b.ID]
	switch {
	case b.Leaving:
		if n != nil {
			m.leave(n, Gone)
		}
		return
	case !m.understands(b.Protocol):
		m.refuse(b, Stranger)
		return
	case n == nil && len(m.nodes) >= m.options.MaxNodes:
		m.refuse(b, Crowd)
		return
	case n == nil:
		n = m.join(b)
	default:
		was := n.beat
		b.Name, b.Protocol = was.Name, was.Protocol // of a node they stay
		n.beat, n.heard = b, m.now
		if was.Draining != b.Draining || was.Address != b.Address {
			m.do(Updated{n.shown()})
		}
	}
	m.catchUp(n)
}

// understands tells whether nodes of that version are taken in.
func (m *Machine) understands(protocol uint32) bool {
	return protocol > 0 && protocol+1 >= m.self.Protocol && protocol <= m.self.Protocol+1
}

// join takes a node in.
func (m *Machine) join(b Beat) *node {
	if b.Name == m.self.Name {
		m.refuse(b, Namesake)
	}
	if other := m.names[b.Name]; other != nil && m.now.Sub(other.heard) < m.options.Probe { // it has not been restarted
		m.refuse(b, Namesake)
	}
	n := &node{beat: b, heard: m.now, moved: m.now, has: newHolding()}
	m.nodes[b.ID], m.names[b.Name] = n, n
	m.do(Joined{n.shown()})
	if m.greeted++; m.greeted <= maxGreetings {
		m.do(Say{m.self}) // so that it need not wait for the next
	}
	if b.Protocol < busySince {
		m.older++
		m.retell()
	}
	return n
}

// leave forgets a node.
func (m *Machine) leave(n *node, why Why) {
	delete(m.nodes, n.beat.ID)
	if m.names[n.beat.Name] == n {
		delete(m.names, n.beat.Name)
	}
	if n.beat.Protocol < busySince {
		m.older--
	}
	m.do(Left{n.shown(), why})
}

// catchUp has a node's table read if changes of it are missing.
func (m *Machine) catchUp(n *node) {
	if n.beat.Number != n.number {
		m.fetch(n)
	}
}

// fetch has a node's table read, unless that is under way.
func (m *Machine) fetch(n *node) {
	if !n.fetching {
		n.fetching, n.waiting = true, nil
		m.do(Fetch{n.shown()})
	}
}

// told takes a change in that is the next.
func (m *Machine) told(c Change) {
	n := m.nodes[c.ID]
	switch {
	case n == nil: // its beat will have the table read
	case n.fetching:
		if len(n.waiting) < maxWaiting {
			n.waiting = append(n.waiting, c)
		}
	case c.Number == n.number+1:
		m.apply(n, c)
	case c.Number > n.number:
		n.beat.Number = max(n.beat.Number, c.Number)
		m.catchUp(n)
	}
}

// apply takes a change in.
func (m *Machine) apply(n *node, c Change) {
	n.number = c.Number
	n.beat.Number = max(n.beat.Number, c.Number)
	changed := Changed{}
	for _, id := range c.Removed {
		if _, there := n.has.listeners[id]; there {
			delete(n.has.listeners, id)
			changed.Removed = append(changed.Removed, id)
		}
	}
	for _, l := range c.Set {
		is, there := n.has.listeners[l.ID]
		if there && is == l || !there && len(n.has.listeners) >= m.options.MaxListeners {
			continue
		}
		n.has.listeners[l.ID] = l
		changed.Set = append(changed.Set, l)
	}
	for _, b := range c.Busy {
		if l, there := n.has.listeners[b.ID]; there && l.Flows != b.Flows {
			l.Flows = b.Flows
			n.has.listeners[b.ID] = l
			changed.Busy = append(changed.Busy, b)
		}
	}
	m.applyRoutes(n, c.Entries, &changed.Entries)
	if changed.Len() > 0 {
		changed.Node = n.shown()
		m.do(changed)
	}
	if n.short && len(changed.RemovedRoutes) > 0 { // now there is room for others
		n.short = false
		m.fetch(n)
	}
}

// applyRoutes takes in what a change says of routes, as far as there is room for it.
func (m *Machine) applyRoutes(n *node, c Entries, changed *Entries) {
	for _, id := range c.RemovedRoutes {
		if _, there := n.has.routes[id]; there {
			n.has.removeRoute(id)
			changed.RemovedRoutes = append(changed.RemovedRoutes, id)
		}
	}
	for _, r := range c.SetRoutes {
		if _, there := n.has.routes[r.ID]; there {
			continue
		}
		if len(n.has.routes) >= m.options.MaxRoutes || n.has.routeBytes+r.Size() > m.options.MaxRouteBytes {
			n.short = true
			m.refuse(n.beat, Excess)
			continue
		}
		n.has.addRoute(r)
		changed.SetRoutes = append(changed.SetRoutes, r)
	}
}

// missing are the numbers of entries that are not among those.
func missing[T any](entries map[uint64]T, among []T, id func(T) uint64) (ids []uint64) {
	there := map[uint64]bool{}
	for _, e := range among {
		there[id(e)] = true
	}
	for _, id := range slices.Sorted(maps.Keys(entries)) {
		if !there[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// read takes a whole table in, and then what came meanwhile.
func (m *Machine) read(t Table) {
	n := m.nodes[t.ID]
	if n == nil || !n.fetching {
		return
	}
	waiting := n.waiting
	n.fetching, n.waiting = false, nil
	whole := Change{ID: t.ID, Number: t.Number, Entries: Entries{
		Set: t.Listeners, Removed: missing(n.has.listeners, t.Listeners, func(l Listener) uint64 { return l.ID }),
		SetRoutes: t.Routes, RemovedRoutes: missing(n.has.routes, t.Routes, func(r Route) uint64 { return r.ID }),
	}}
	m.apply(n, whole)
	for _, c := range waiting {
		if c.Number > n.number { // one that is not the next has it read again
			m.told(c)
		}
	}
}

// shown is how others see a node.
func (n *node) shown() Node {
	return Node{Beat: n.beat, Listeners: len(n.has.listeners), Routes: len(n.has.routes), Current: n.beat.Number == n.number, Heard: n.heard}
}
