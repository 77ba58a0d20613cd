package cluster

import (
	"context"
	"errors"
	"sync"

	"github.com/zioflow/gateway/cluster/members"
)

// errClosing ends what is carried when this node is stopped.
var errClosing = errors.New("the gateway is shutting down")

// lives are how long the other nodes are there: whatever stands with a node ends when it
// does. Its methods may be called concurrently.
type lives struct {
	mu    sync.Mutex
	nodes map[members.ID]*life // guarded by mu
	ended error                // guarded by mu; why all have; nil before
}

// life is that of one node.
type life struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	users int  // guarded by lives.mu; contexts that were asked for
	known bool // guarded by lives.mu; it is a member, not only somebody who has called
}

func newLives() *lives { return &lives{nodes: map[members.ID]*life{}} }

// get returns a node's life. mu is held.
func (l *lives) get(id members.ID) *life {
	n := l.nodes[id]
	if n == nil {
		n = &life{}
		n.ctx, n.end = context.WithCancelCause(context.Background())
		l.nodes[id] = n
		if l.ended != nil {
			n.end(l.ended)
		}
	}
	return n
}

// begin takes note of a member, and returns a context that ends with it.
func (l *lives) begin(id members.ID) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.get(id)
	n.known = true
	return n.ctx
}

// end ends a member's life.
func (l *lives) end(id members.ID, why error) {
	l.mu.Lock()
	n := l.nodes[id]
	delete(l.nodes, id)
	l.mu.Unlock()
	if n != nil {
		n.end(why)
	}
}

// endAll ends all lives, and those that begin after it.
func (l *lives) endAll(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = why
	for _, n := range l.nodes {
		n.end(why)
	}
}

// context is one that ends with ctx, or with the node, of which the cause is why. A node may
// call before this one has heard of it.
func (l *lives) context(ctx context.Context, nodeID string) (context.Context, context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := members.ID(nodeID)
	n := l.get(id)
	n.users++
	joint, cancel := context.WithCancelCause(ctx)
	forget := context.AfterFunc(n.ctx, func() { cancel(context.Cause(n.ctx)) })
	return joint, func() {
		forget()
		cancel(context.Canceled)
		l.mu.Lock()
		defer l.mu.Unlock()
		if n.users--; n.users == 0 && !n.known && l.nodes[id] == n {
			delete(l.nodes, id)
			n.end(context.Canceled)
		}
	}
}
