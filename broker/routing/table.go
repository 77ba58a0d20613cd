package routing

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Errors that changing the routes returns.
var (
	// ErrRouteExists: another route has the name.
	ErrRouteExists = errors.New("there is a route of this name already")
	// ErrNoRoute: no route has the name.
	ErrNoRoute = errors.New("there is no route of this name")
	// ErrListenersRoute: the route is a listener's, and goes with it.
	ErrListenersRoute = errors.New("this route is its listeners', and goes when the last of them leaves")
	// ErrFarRoute: the route is another node's, which alone can remove it.
	ErrFarRoute = errors.New("this route is another node's")
)

// Table holds the routes. The zero Table is empty; its methods may be called
// concurrently. The routes are tried in one order: higher priorities
// first; in a priority the configured ones in the order of their list, the added
// ones in that of adding, those that were added at other nodes in the order of the nodes'
// names, the named ones, the announced ones, of priority 0, in that of registration, those of
// other nodes behind this one's. The default ones come last, whatever the priorities.
type Table struct {
	present atomic.Pointer[Arrangement] // replaced whole, with mu held; nil from a change until somebody looks

	mu         sync.Mutex    // for changing them
	born       uint64        // guarded by mu; the latest route's or listener's
	configured []*Entry      // guarded by mu
	added      []*Entry      // guarded by mu
	changes    chan struct{} // guarded by mu; AddedChanges; nil while nobody has asked
	others     []*Entry      // guarded by mu; other nodes', in their order
	named      []*Entry      // guarded by mu
	defaults   []*Entry      // guarded by mu
	front      []*Entry      // guarded by mu, replaced whole; those of all these that come before what is announced
	back       []*Entry      // likewise; and behind it
	announced  announcements // guarded by mu
}

// bear makes the entry of a route that is set. mu is held.
func (t *Table) bear(r Route, origin Origin, flows *flowCount) *Entry {
	t.born++
	return &Entry{Route: r, origin: origin, born: t.born, flows: flows}
}

// arrange puts a change of the routes that are set to use. mu is held.
func (t *Table) arrange() {
	set := slices.Concat(t.configured, t.added, t.others, t.named)
	slices.SortStableFunc(set, func(a, b *Entry) int { return cmp.Compare(b.Priority, a.Priority) })
	behind := slices.IndexFunc(set, func(e *Entry) bool { return e.Priority < 0 })
	if behind < 0 {
		behind = len(set)
	}
	t.front, t.back = set[:behind:behind], slices.Concat(set[behind:], t.defaults)
	t.changed()
}

// changed has those who look see another arrangement, which is made when the first of them
// does: many changes cost no more than one. mu is held.
func (t *Table) changed() {
	if before := t.present.Swap(nil); before != nil {
		close(before.Changed)
	}
}

// Arrangement is the routes, and who listens, at one moment.
type Arrangement struct {
	order   [4][]*Entry   // as they are tried; not to be changed
	Born    uint64        // the latest route's or listener's number, by age
	Changed chan struct{} // closed when there is another arrangement
}

// Now returns the present arrangement.
func (t *Table) Now() *Arrangement {
	if a := t.present.Load(); a != nil {
		return a
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.present.Load()
	if a == nil {
		t.announced.settle()
		a = &Arrangement{
			order: [...][]*Entry{t.front, t.announced.near, t.announced.far, t.back},
			Born:  t.born, Changed: make(chan struct{}),
		}
		t.present.Store(a)
	}
	return a
}

// each calls yield for the routes in the order in which they are tried. Some that were
// announced may be there no more: nobody stands behind them.
func (a *Arrangement) each(yield func(*Entry) bool) {
	for _, part := range a.order {
		for _, e := range part {
			if !yield(e) {
				return
			}
		}
	}
}

// all is the routes in the order in which they are tried.
func (t *Table) all() []*Entry {
	var all []*Entry
	for e := range t.Now().each {
		if e.announced == nil || e.announced.Size() > 0 {
			all = append(all, e)
		}
	}
	return all
}

// askedAll says that no route takes a BOT, and how many were asked.
func (a *Arrangement) askedAll() string {
	routes, listeners := 0, 0
	for e := range a.each {
		if e.announced == nil {
			routes++
		} else {
			listeners += e.announced.Size()
		}
	}
	return fmt.Sprintf("no handler takes this BOT: %s and %s were asked", counted(routes, "route"), counted(listeners, "listener"))
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Announced is what announces a route of that name; nil if nothing does.
func (t *Table) Announced(name string) Announced {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.announced.byName[name]; e != nil {
		return e.announced
	}
	return nil
}

// EachAnnounced calls yield for what stands behind each route that is announced, in no
// order. The table is not locked meanwhile.
func (t *Table) EachAnnounced(yield func(Announced) bool) {
	t.mu.Lock()
	announced := slices.Collect(maps.Values(t.announced.byName))
	t.mu.Unlock()
	for _, e := range announced {
		if !yield(e.announced) {
			return
		}
	}
}

// Announce has join add to what announces a route of that name: to the entry that it is
// given or, where that is nil, to one that it returns. It has the number by age of what
// is added. After an error nothing has changed. The table is locked meanwhile.
func (t *Table) Announce(name string, join func(present *Entry, born uint64) (*Entry, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	present := t.announced.byName[name]
	entry, err := join(present, t.born+1)
	if err != nil {
		return err
	}
	t.born++
	if present == nil {
		t.born++
		entry.born = t.born
		t.announced.add(entry)
	} else {
		t.announced.place(present)
	}
	t.changed()
	return nil
}

// Withdraw has leave take from what announces the entry, and takes the entry out if it
// returns that nothing is left. The table is locked meanwhile.
func (t *Table) Withdraw(e *Entry, leave func() (last bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := leave(); last {
		t.announced.withdraw(e)
		t.changed()
	} else if t.announced.place(e) {
		t.changed()
	}
}

func called(name string) func(*Entry) bool { return func(e *Entry) bool { return e.Name == name } }

// Add adds a route behind those of the same priority that are configured or
// were added, for flows opened from now on. ErrRouteExists when there is one of
// that name; a listener's does not count.
func (t *Table) Add(r Route) (RouteInfo, error) {
	if err := r.Validate(); err != nil {
		return RouteInfo{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.ContainsFunc(slices.Concat(t.configured, t.added, t.defaults), called(r.Name)) {
		return RouteInfo{}, fmt.Errorf("route %s: %w", r.Name, ErrRouteExists)
	}
	e := t.bear(r, Added, new(flowCount))
	t.added = append(t.added, e)
	t.noteAdded()
	t.arrange()
	return e.info(), nil
}

// AddDefault adds a route for BOTs that no other route nor listener takes.
// To be called before the other routes are set; it is an error if there is one
// of that name.
func (t *Table) AddDefault(r Route) error {
	if err := r.Validate(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.ContainsFunc(slices.Concat(t.configured, t.added, t.defaults), called(r.Name)) {
		return fmt.Errorf("route %s: %w", r.Name, ErrRouteExists)
	}
	t.defaults = append(t.defaults, t.bear(r, Default, new(flowCount)))
	t.arrange()
	return nil
}

// AddNamed adds a route for BOTs that ask for its handler by name: behind the
// configured and added routes of its priority, in front of listeners. Others may have
// its name, as they may have a listener's.
func (t *Table) AddNamed(r Route) error {
	if err := r.Validate(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.named = append(t.named, t.bear(r, Named, new(flowCount)))
	t.arrange()
	return nil
}

// Check returns the error that Set would: the first route that makes
// no sense, or a name that stands twice or is a default route's.
func (t *Table) Check(routes []Route) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.check(routes)
}

func (t *Table) check(routes []Route) error {
	names := map[string]bool{}
	for _, r := range routes {
		if err := r.Validate(); err != nil {
			return err
		}
		if names[r.Name] || slices.ContainsFunc(t.defaults, called(r.Name)) {
			return fmt.Errorf("route %s: %w", r.Name, ErrRouteExists)
		}
		names[r.Name] = true
	}
	return nil
}

// Set puts these in the place of all configured routes, for flows opened
// from now on. One that stays by its name goes on counting. An added route of
// the same name gives way: it has been made to last. On an error nothing has
// changed.
func (t *Table) Set(routes []Route) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.check(routes); err != nil {
		return err
	}
	before := slices.Concat(t.configured, t.added)
	configured := make([]*Entry, len(routes))
	for i, r := range routes {
		flows := new(flowCount)
		if old := slices.IndexFunc(before, called(r.Name)); old >= 0 {
			flows = before[old].flows
		}
		configured[i] = t.bear(r, Configured, flows)
	}
	t.configured = configured
	t.added = slices.DeleteFunc(t.added, func(e *Entry) bool { return slices.ContainsFunc(configured, called(e.Name)) })
	t.noteAdded()
	t.arrange()
	return nil
}

// Remove removes the route of that name, configured ones until the next
// Set; its flows go on. ErrNoRoute if there is none, ErrFarRoute if only other nodes' routes
// have the name, ErrListenersRoute if only listeners have.
func (t *Table) Remove(name string) (RouteInfo, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range []*[]*Entry{&t.configured, &t.added, &t.defaults, &t.named} {
		if i := slices.IndexFunc(*list, called(name)); i >= 0 {
			removed := (*list)[i]
			*list = slices.Delete(*list, i, i+1)
			t.noteAdded()
			t.arrange()
			return removed.info(), nil
		}
	}
	if nodes := t.nodesWith(name); len(nodes) > 0 {
		return RouteInfo{}, fmt.Errorf("route %s: %w: it is to be removed at node %s", name, ErrFarRoute, strings.Join(nodes, " or "))
	}
	if t.announced.byName[name] != nil {
		return RouteInfo{}, fmt.Errorf("route %s: %w", name, ErrListenersRoute)
	}
	return RouteInfo{}, fmt.Errorf("route %s: %w", name, ErrNoRoute)
}

// nodesWith are the other nodes that have a route of that name. mu is held.
func (t *Table) nodesWith(name string) (nodes []string) {
	for _, e := range t.others {
		if e.Name == name && !slices.Contains(nodes, e.node()) {
			nodes = append(nodes, e.node())
		}
	}
	return nodes
}

// Added describes the routes that were added here, in the order of adding.
func (t *Table) Added() []RouteInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	infos := make([]RouteInfo, len(t.added))
	for i, e := range t.added {
		infos[i] = e.info()
	}
	return infos
}

// AddedChanges receives when the added routes may be others than before. There is room for one
// signal: it is for one receiver.
func (t *Table) AddedChanges() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changes == nil {
		t.changes = make(chan struct{}, 1)
	}
	return t.changes
}

// noteAdded tells who has asked. mu is held.
func (t *Table) noteAdded() {
	select {
	case t.changes <- struct{}{}:
	default: // nobody has asked, or it is told already
	}
}

// Directly is where a flow goes that another node has found the added route of that number for;
// false if there is none.
func (t *Table) Directly(number uint64) (Direct, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.added, func(e *Entry) bool { return e.born == number })
	if i < 0 {
		return Direct{}, false
	}
	return Direct{Entry: t.added[i], Factory: t.added[i].Factory}, true
}

// List describes the routes in the order in which they are tried.
func (t *Table) List() []RouteInfo {
	all := t.all()
	infos := make([]RouteInfo, len(all))
	for i, e := range all {
		infos[i] = e.info()
	}
	return infos
}
