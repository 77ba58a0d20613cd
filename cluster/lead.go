package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/cluster/members"
)

// lead leads to a listener of another node: it is the Sink of the one that stands for it
// here. Its methods may be called concurrently, but for those that say other.
type lead struct {
	member *member
	id     uint64           // the listener's at its node
	name   string           // the listener's
	is     members.Listener // used by the loop alone
	own    int              // likewise; flows that it had from here at the latest tick

	held     atomic.Bool // until the next tick: it could take nothing
	used     atomic.Bool // it has flows from here, or had at the latest tick
	loading  sync.Mutex
	listener *listeners.Listener // guarded by loading
	flows    int                 // guarded by loading; by its node
	draining bool                // guarded by loading; its node does

	mu   sync.Mutex
	ends map[uint64]context.CancelFunc // guarded by mu; of what is offered and was not taken, by cid
}

// listen registers what stands for the listener here.
func (l *lead) listen(spec listeners.Spec) (err error) {
	l.loading.Lock()
	defer l.loading.Unlock()
	l.listener, err = l.member.node.options.Broker.Listen(spec)
	return err
}

// load takes note of how many flows the listener has. It is called by the loop.
func (l *lead) load() {
	l.loading.Lock()
	defer l.loading.Unlock()
	l.flows, l.draining = l.is.Flows, l.member.draining
	l.tell()
}

// recount reckons anew how many flows it has that are not from here. Its node tells nothing where as
// many of those have ended as were offered from here. It is called by the loop with every tick: if
// those from here are as many as they were with the one before, its node has counted them by now.
func (l *lead) recount() {
	if !l.used.Swap(false) {
		return
	}
	was := l.own
	l.loading.Lock()
	l.own = l.listener.Flows()
	l.loading.Unlock()
	if l.own > 0 || l.own != was {
		l.used.Store(true)
	}
	if l.own == was {
		l.load()
	}
}

// hold has nothing be offered until the next tick.
func (l *lead) hold() {
	l.loading.Lock()
	defer l.loading.Unlock()
	l.held.Store(true)
	l.tell()
}

// tell tells the broker. l.loading is held.
func (l *lead) tell() {
	if l.listener != nil {
		l.listener.SetLoad(l.flows, l.draining || l.held.Load())
	}
}

// close takes it out: what was offered and not taken goes to others. Flows go on.
func (l *lead) close() {
	l.loading.Lock()
	listener := l.listener
	l.loading.Unlock()
	listener.Close()
}

// Offer implements listeners.Sink.
func (l *lead) Offer(o routing.Offer) error {
	ctx, cancel := context.WithCancel(l.member.ctx)
	l.mu.Lock()
	l.ends[o.CID] = cancel
	l.mu.Unlock()
	l.used.Store(true)
	l.member.node.carrying.Go(func() {
		defer cancel()
		defer l.settled(o.CID)
		defer l.member.contain(o)
		l.carry(ctx, cancel, o)
	})
	return nil
}

// Withdraw implements listeners.Sink.
func (l *lead) Withdraw(cid uint64, _ flow.Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cancel := l.ends[cid]; cancel != nil {
		cancel()
	}
}

// settled tells that an offer was taken, or will not be.
func (l *lead) settled(cid uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ends, cid)
}

// contain ends one flow on whose way something has panicked, and nothing else.
func (m *member) contain(o routing.Offer) {
	if problem := recover(); problem != nil {
		m.node.log.LogAttrs(context.Background(), slog.LevelError, "carrying a flow failed",
			slog.String("node", m.name), slog.String("error", fmt.Sprint(problem)), slog.String("stack", string(debug.Stack())))
		_ = m.node.options.Broker.Refuse(o.CID, flow.Rejected, "the gateway failed")
	}
}

// passes tells whether a flow that a listener's node refuses for that reason goes to the
// next: it was that node's fault, or nobody's.
func passes(reason flow.Reason) bool {
	switch reason {
	case flow.NoHandler, flow.Overloaded, flow.Draining, flow.HandlerTimeout, flow.PeerGone:
		return true
	}
	return false
}
