package broker

import (
	"sync"

	"github.com/zioflow/gateway/broker/zio"
)

// Route maps the BOTs that match to a factory.
type Route struct {
	// Name is how operators call it.
	Name string
	// Match selects; nil takes every BOT.
	Match Match
	// Factory finds the handlers.
	Factory Factory
}

// Match decides whether a BOT goes a way. It may be called concurrently.
type Match interface {
	Match(*View) bool
}

// View is what a Match sees.
type View struct {
	// Label is the text of the client's BOT.
	Label []byte
	// Direction is the handler's, as in ZIO: Inject = it will take.
	Direction zio.Direction
	// Credit is what the client offers; 0 or less leaves it to the handler.
	Credit int64
	// Peer is the client.
	Peer PeerInfo
}

func (r *Route) takes(v *View) bool { return r.Match == nil || r.Match.Match(v) }

// routeTable holds the routes in the order in which they are tried: the
// configured ones, the listeners' groups, the defaults.
type routeTable struct {
	mu           sync.Mutex
	configured   []*Route // guarded by mu
	groups       []*group // guarded by mu
	defaults     []*Route // guarded by mu
	lastListener uint64   // guarded by mu
}

// AddRoute adds a route behind the ones added before, in front of all
// listeners.
func (b *Broker) AddRoute(r Route) {
	b.routes.mu.Lock()
	defer b.routes.mu.Unlock()
	b.routes.configured = append(b.routes.configured, &r)
}

// AddDefaultRoute adds a route for BOTs that no other route nor listener takes.
func (b *Broker) AddDefaultRoute(r Route) {
	b.routes.mu.Lock()
	defer b.routes.mu.Unlock()
	b.routes.defaults = append(b.routes.defaults, &r)
}

// find answers the first route that takes the BOT, or nil.
func (t *routeTable) find(v *View) *Route {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.configured {
		if r.takes(v) {
			return r
		}
	}
	for _, g := range t.groups {
		if g.takes(v) {
			return &Route{Name: g.name, Factory: groupFactory{group: g, view: v}}
		}
	}
	for _, r := range t.defaults {
		if r.takes(v) {
			return r
		}
	}
	return nil
}
