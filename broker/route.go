package broker

import (
	"fmt"
	"sync"

	"github.com/zioflow/gateway/broker/zio"
)

// Route maps the BOTs that match to a factory.
type Route struct {
	// Name is how operators call it.
	Name string
	// Match selects; nil takes every BOT. One that is a fmt.Stringer has its text
	// shown to operators, one that is an Explainer explains itself.
	Match Match
	// Priority orders the routes: higher ones are tried first.
	Priority int32
	// MaxCredit lowers the credit of the route's flows below the broker's limit; 0
	// for no further.
	MaxCredit int64
	// Factory finds the handlers. It may be an Explainer too.
	Factory Factory
}

// Validate names the first field that makes no sense.
func (r *Route) Validate() error {
	switch {
	case r.Name == "":
		return fmt.Errorf("a route needs a name")
	case r.MaxCredit < 0:
		return fmt.Errorf("route %s: max credit is %d, want 0 or more", r.Name, r.MaxCredit)
	case r.Factory == nil:
		return fmt.Errorf("route %s has no factory", r.Name)
	}
	return nil
}

// lower is a limit of credit, or the route's own if that is less.
func (r *Route) lower(limit int64) int64 {
	if r.MaxCredit > 0 {
		return min(limit, r.MaxCredit)
	}
	return limit
}

// Match decides whether a BOT goes a way. It may be called concurrently.
type Match interface {
	Match(*View) bool
}

// Explainer says in words what it makes of a BOT: a Match, why it takes it or
// not; a Factory, what keeps it from finding a handler just now, or nothing. It
// may be called concurrently.
type Explainer interface {
	Explain(*View) string
}

// Origin is where a route comes from. Routes of one priority are tried in the
// order of the origins.
type Origin uint8

// The origins.
const (
	Configured Origin = iota + 1 // set by SetRoutes
	Added                        // by AddRoute
	Announced                    // by listeners, whose name is the route's
	Default                      // by AddDefaultRoute: tried last of all
	Named                        // by AddNamedRoute: tried between Added and Announced
)

var originNames = [...]string{"none", "configured", "added", "listener", "default", "builtin"}

func (o Origin) String() string { return originNames[o] }

// RouteInfo is a route with what became of it.
type RouteInfo struct {
	Route
	Origin Origin
	// Taken counts the flows that took the route since it was added, Flows those of
	// them that have not ended.
	Taken, Flows uint64
}

// View is what a Match sees. It is shared, so not to be changed or copied once a
// Match has seen it; its methods may be called concurrently.
type View struct {
	// Label is the text of the client's BOT.
	Label []byte
	// Direction is the handler's, as in ZIO: Inject = it will take.
	Direction zio.Direction
	// Credit is what the client offers; 0 or less leaves it to the handler.
	Credit int64
	// Coord is the BOT's.
	Coord zio.Coord
	// Peer is the client.
	Peer PeerInfo

	mu         sync.Mutex
	attributes map[string]any // guarded by mu; nil while they are not read
}

// NewView is the view of a client's BOT, with its direction reversed. The label
// is not copied.
func NewView(bot *zio.Message, client PeerInfo) (*View, error) {
	if _, err := zio.Peek(bot.Label); err != nil {
		return nil, err
	}
	parsed, err := zio.ParseBot(bot.Label)
	if err != nil {
		return nil, err
	}
	if problem := botProblem(parsed); problem != "" {
		return nil, fmt.Errorf("%s", problem)
	}
	return &View{
		Label: bot.Label, Direction: parsed.Direction.Reverse(), Credit: parsed.Credit.Value,
		Coord: bot.Coord, Peer: client,
	}, nil
}

// Attributes is the label as a map, as zio.Attributes reads it: what it has not read
// is zio.Unread. Not to be changed.
func (v *View) Attributes() map[string]any {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.attributes == nil {
		v.attributes = zio.Attributes(v.Label)
	}
	return v.attributes
}

// keepRead is how long a label may be, in bytes, whose attributes are kept for the
// next Match: they take many times the memory of the label.
const keepRead = 4 << 10

// forget lets go of attributes that take much memory, while nobody matches.
func (v *View) forget() {
	if len(v.Label) <= keepRead {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.attributes = nil
}

// botProblem says what is wrong with a BOT that could be read; empty if nothing
// is.
func botProblem(bot zio.Bot) string {
	switch {
	case bot.Direction == zio.NoDirection:
		return "the BOT's direction is neither extract nor inject"
	case bot.Credit.Form == zio.NotInteger:
		return "the BOT's credit is no integer"
	}
	return ""
}
