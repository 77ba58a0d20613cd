package broker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Errors that changing the routes answers.
var (
	// ErrRouteExists: another route has the name.
	ErrRouteExists = errors.New("there is a route of this name already")
	// ErrNoRoute: no route has the name.
	ErrNoRoute = errors.New("there is no route of this name")
	// ErrListenersRoute: the route is a listener's, and goes with it.
	ErrListenersRoute = errors.New("this route is its listeners', and goes when the last of them leaves")
)

// way is a route in the table.
type way struct {
	Route
	origin Origin
	born   uint64 // its place among routes and listeners by age
	tally  *tally
	group  *group // of an Announced one
}

// tally counts a route's flows.
type tally struct{ taken, flows atomic.Uint64 }

func (t *tally) open() {
	t.taken.Add(1)
	t.flows.Add(1)
}

func (t *tally) end() { t.flows.Add(^uint64(0)) }

func (w *way) takes(v *View) bool { return w.Match == nil || w.Match.Match(v) }

func (w *way) info() RouteInfo {
	return RouteInfo{Route: w.Route, Origin: w.origin, Taken: w.tally.taken.Load(), Flows: w.tally.flows.Load()}
}

// routeTable holds the routes. They are tried in one order: higher priorities
// first; in a priority the configured ones in the order of their list, the added
// ones in that of adding, the named ones, the listeners' groups, of priority 0, in
// that of registration. The default ones come last, whatever the priorities.
type routeTable struct {
	present atomic.Pointer[arrangement] // replaced whole

	mu           sync.Mutex // for changing them
	born         uint64     // guarded by mu; the latest route's or listener's
	configured   []*way     // guarded by mu
	added        []*way     // guarded by mu
	named        []*way     // guarded by mu
	groups       []*group   // guarded by mu
	defaults     []*way     // guarded by mu
	lastListener uint64     // guarded by mu
}

// arrange puts a change to use. mu is held.
func (t *routeTable) arrange() {
	order := slices.Concat(t.configured, t.added, t.named)
	for _, g := range t.groups {
		order = append(order, g.way)
	}
	slices.SortStableFunc(order, func(a, b *way) int { return cmp.Compare(b.Priority, a.Priority) })
	order = append(order, t.defaults...)
	for _, w := range order {
		if w.born == 0 {
			t.born++
			w.born = t.born
		}
	}
	before := t.now()
	t.present.Store(&arrangement{order: order, born: t.born, changed: make(chan struct{})})
	close(before.changed)
}

// arrangement is the routes, and who listens, at one ledger.Moment.
type arrangement struct {
	order   []*way        // as they are tried; not to be changed
	born    uint64        // the latest route's or listener's
	changed chan struct{} // closed when there is another arrangement
}

// now answers the present arrangement.
func (t *routeTable) now() *arrangement {
	if t.present.Load() == nil {
		t.present.CompareAndSwap(nil, &arrangement{changed: make(chan struct{})})
	}
	return t.present.Load()
}

// all answers the routes in the order in which they are tried. The answer is not
// to be changed.
func (t *routeTable) all() []*way { return t.now().order }

// askedAll says that no route takes a BOT, and how many were asked.
func (a *arrangement) askedAll() string {
	routes, listeners := 0, 0
	for _, w := range a.order {
		if w.group == nil {
			routes++
		} else {
			listeners += w.group.size()
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

// groupNamed answers the listeners of a name; nil if there are none.
func (t *routeTable) groupNamed(name string) *group {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.IndexFunc(t.groups, func(g *group) bool { return g.name == name }); i >= 0 {
		return t.groups[i]
	}
	return nil
}

func called(name string) func(*way) bool { return func(w *way) bool { return w.Name == name } }

// AddRoute adds a route behind those of the same priority that are configured or
// were added, for flows opened from now on. ErrRouteExists when there is one of
// that name; a listener's does not count.
func (b *Broker) AddRoute(r Route) (RouteInfo, error) {
	if err := r.Validate(); err != nil {
		return RouteInfo{}, err
	}
	t := &b.routes
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.ContainsFunc(slices.Concat(t.configured, t.added, t.defaults), called(r.Name)) {
		return RouteInfo{}, fmt.Errorf("route %s: %w", r.Name, ErrRouteExists)
	}
	w := &way{Route: r, origin: Added, tally: new(tally)}
	t.added = append(t.added, w)
	t.arrange()
	b.log.Info("route added", "route", r.Name, "priority", r.Priority)
	return w.info(), nil
}

// AddDefaultRoute adds a route for BOTs that no other route nor listener takes.
// To be called before the other routes are set; it is an error if there is one
// of that name.
func (b *Broker) AddDefaultRoute(r Route) error {
	if err := r.Validate(); err != nil {
		return err
	}
	t := &b.routes
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.ContainsFunc(slices.Concat(t.configured, t.added, t.defaults), called(r.Name)) {
		return fmt.Errorf("route %s: %w", r.Name, ErrRouteExists)
	}
	t.defaults = append(t.defaults, &way{Route: r, origin: Default, tally: new(tally)})
	t.arrange()
	return nil
}

// AddNamedRoute adds a route for BOTs that ask for its handler by name: behind the
// configured and added routes of its priority, in front of listeners. Others may have
// its name, as they may have a listener's.
func (b *Broker) AddNamedRoute(r Route) error {
	if err := r.Validate(); err != nil {
		return err
	}
	t := &b.routes
	t.mu.Lock()
	defer t.mu.Unlock()
	t.named = append(t.named, &way{Route: r, origin: Named, tally: new(tally)})
	t.arrange()
	return nil
}

// CheckRoutes answers the error that SetRoutes would: the first route that makes
// no sense, or a name that stands twice or is a default route's.
func (b *Broker) CheckRoutes(routes []Route) error {
	b.routes.mu.Lock()
	defer b.routes.mu.Unlock()
	return b.routes.check(routes)
}

func (t *routeTable) check(routes []Route) error {
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

// SetRoutes puts these in the place of all configured routes, for flows opened
// from now on. One that stays by its name goes on counting. An added route of
// the same name gives way: it has been made to last. On an error nothing has
// changed.
func (b *Broker) SetRoutes(routes []Route) error {
	t := &b.routes
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.check(routes); err != nil {
		return err
	}
	before := slices.Concat(t.configured, t.added)
	configured := make([]*way, len(routes))
	for i, r := range routes {
		configured[i] = &way{Route: r, origin: Configured, tally: new(tally)}
		if old := slices.IndexFunc(before, called(r.Name)); old >= 0 {
			configured[i].tally = before[old].tally
		}
	}
	t.configured = configured
	t.added = slices.DeleteFunc(t.added, func(w *way) bool { return slices.ContainsFunc(configured, called(w.Name)) })
	t.arrange()
	return nil
}

// RemoveRoute removes the route of that name, configured ones until the next
// SetRoutes; its flows go on. ErrNoRoute if there is none, ErrListenersRoute if
// only listeners have the name.
func (b *Broker) RemoveRoute(name string) (RouteInfo, error) {
	t := &b.routes
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range []*[]*way{&t.configured, &t.added, &t.defaults, &t.named} {
		if i := slices.IndexFunc(*list, called(name)); i >= 0 {
			removed := (*list)[i]
			*list = slices.Delete(*list, i, i+1)
			t.arrange()
			b.log.Info("route removed", "route", name, "origin", removed.origin.String())
			return removed.info(), nil
		}
	}
	if slices.ContainsFunc(t.groups, func(g *group) bool { return g.name == name }) {
		return RouteInfo{}, fmt.Errorf("route %s: %w", name, ErrListenersRoute)
	}
	return RouteInfo{}, fmt.Errorf("route %s: %w", name, ErrNoRoute)
}

// Routes describes the routes in the order in which they are tried.
func (b *Broker) Routes() []RouteInfo {
	all := b.routes.all()
	infos := make([]RouteInfo, len(all))
	for i, w := range all {
		infos[i] = w.info()
	}
	return infos
}
