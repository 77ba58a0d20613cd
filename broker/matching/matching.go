// Package matching is what decides whether a BOT takes a route, or is a listener's: the
// view that it has of the BOT, and what it says of it.
package matching

import (
	"fmt"
	"sync"

	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

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

// Text is a match as operators read it; empty for one that takes every BOT.
func Text(m Match) string {
	if text, ok := m.(fmt.Stringer); ok {
		return text.String()
	}
	return ""
}

// Explain says why a match takes a BOT, or not.
func Explain(m Match, v *View, matches bool) string {
	if m == nil {
		return "takes every BOT"
	}
	if e, ok := m.(Explainer); ok {
		return e.Explain(v)
	}
	return fmt.Sprintf("is %t", matches)
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
	Peer transport.PeerInfo

	mu         sync.Mutex
	attributes map[string]any // guarded by mu; nil while they are not read
}

// NewView is the view of a client's BOT, with its direction reversed. The label
// is not copied.
func NewView(bot *zio.Message, client transport.PeerInfo) (*View, error) {
	if _, err := zio.Peek(bot.Label); err != nil {
		return nil, err
	}
	parsed, err := zio.ParseBot(bot.Label)
	if err != nil {
		return nil, err
	}
	if problem := parsed.Problem(); problem != "" {
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

// Forget lets go of attributes that take much memory, while nobody matches.
func (v *View) Forget() {
	if len(v.Label) <= keepRead {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.attributes = nil
}
