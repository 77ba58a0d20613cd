package routing

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
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
)

// Table holds the routes. The zero Table is empty; its methods may be called
// concurrently. The routes are tried in one order: higher priorities
// first; in a priority the configured ones in the order of their list, the added
// ones in that of adding, the named ones, the announced ones, of priority 0, in
// that of registration, those of other nodes behind this one's. The default ones come last, whatever the priorities.
type Table struct {
	present atomic.Pointer[Arrangement] // replaced whole

	mu         sync.Mutex // for changing them
	born       uint64     // guarded by mu; the latest route's or listener's
	configured []*Entry   // guarded by mu
	added      []*Entry   // guarded by mu
	named      []*Entry   // guarded by mu
	announced  []*Entry   // guarded by mu
	defaults   []*Entry   // guarded by mu
}

// arrange puts a change to use. mu is held.
func (t *Table) arrange() {
	near, far := []*Entry(nil), []*Entry(nil)
	for _, e := range t.announced {
		if e.announced.Far() {
			far = append(far, e)
		} else {
			near = append(near, e)
		}
	}
	order := slices.Concat(t.configured, t.added, t.named, near, far)
	slices.SortStableFunc(order, func(a, b *Entry) int { return cmp.Compare(b.Priority, a.Priority) })
	order = append(order, t.defaults...)
	for _, e := range order {
		if e.born == 0 {
			t.born++
			e.born = t.born
		}
	}
	before := t.Now()
	t.present.Store(&Arrangement{order: order, Born: t.born, Changed: make(chan struct{})})
	close(before.Changed)
}

// Arrangement is the routes, and who listens, at one moment.
type Arrangement struct {
	order   []*Entry      // as they are tried; not to be changed
	Born    uint64        // the latest route's or listener's number, by age
	Changed chan struct{} // closed when there is another arrangement
}

// Now returns the present arrangement.
func (t *Table) Now() *Arrangement {
	if t.present.Load() == nil {
		t.present.CompareAndSwap(nil, &Arrangement{Changed: make(chan struct{})})
	}
	return t.present.Load()
}

// all is the routes in the order in which they are tried; not to be changed.
func (t *Table) all() []*Entry { return t.Now().order }

// askedAll says that no route takes a BOT, and how many were asked.
func (a *Arrangement) askedAll() string {
	routes, listeners := 0, 0
	for _, e := range a.order {
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
	if i := slices.IndexFunc(t.announced, called(name)); i >= 0 {
		return t.announced[i].announced
	}
	return nil
}

// EachAnnounced calls yield for what stands behind each route that is announced.
func (t *Table) EachAnnounced(yield func(Announced) bool) {
	t.mu.Lock()
	announced := slices.Clone(t.announced)
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
	i := slices.IndexFunc(t.announced, called(name))
	var present *Entry
	if i >= 0 {
		present = t.announced[i]
	}
	entry, err := join(present, t.born+1)
	if err != nil {
		return err
	}
	t.born++
	if present == nil {
		t.announced = append(t.announced, entry)
	}
	t.arrange()
	return nil
}

// Withdraw has leave take from what announces the entry, and takes the entry out if it
// returns that nothing is left. The table is locked meanwhile.
func (t *Table) Withdraw(e *Entry, leave func() (last bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	far := e.announced.Far()
	switch last := leave(); {
	case last:
		t.announced = slices.DeleteFunc(t.announced, func(other *Entry) bool { return other == e })
		t.arrange()
	case e.announced.Far() != far:
		t.arrange()
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
	e := &Entry{Route: r, origin: Added, flows: new(flowCount)}
	t.added = append(t.added, e)
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
	t.defaults = append(t.defaults, &Entry{Route: r, origin: Default, flows: new(flowCount)})
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
	t.named = append(t.named, &Entry{Route: r, origin: Named, flows: new(flowCount)})
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
		configured[i] = &Entry{Route: r, origin: Configured, flows: new(flowCount)}
		if old := slices.IndexFunc(before, called(r.Name)); old >= 0 {
			configured[i].flows = before[old].flows
		}
	}
	t.configured = configured
	t.added = slices.DeleteFunc(t.added, func(e *Entry) bool { return slices.ContainsFunc(configured, called(e.Name)) })
	t.arrange()
	return nil
}

// Remove removes the route of that name, configured ones until the next
// Set; its flows go on. ErrNoRoute if there is none, ErrListenersRoute if
// only listeners have the name.
func (t *Table) Remove(name string) (RouteInfo, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range []*[]*Entry{&t.configured, &t.added, &t.defaults, &t.named} {
		if i := slices.IndexFunc(*list, called(name)); i >= 0 {
			removed := (*list)[i]
			*list = slices.Delete(*list, i, i+1)
			t.arrange()
			return removed.info(), nil
		}
	}
	if slices.ContainsFunc(t.announced, called(name)) {
		return RouteInfo{}, fmt.Errorf("route %s: %w", name, ErrListenersRoute)
	}
	return RouteInfo{}, fmt.Errorf("route %s: %w", name, ErrNoRoute)
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
