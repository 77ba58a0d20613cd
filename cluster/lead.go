package cluster

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/cluster/members"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/codec"
)

// lead leads to a listener of another node: it is the Sink of the one that stands for it
// here. Its methods may be called concurrently, but for those that say other.
type lead struct {
	at   *remote
	id   uint64           // the listener's at its node
	name string           // the listener's
	is   members.Listener // used by the loop alone
	own  int              // likewise; flows that it had from here at the latest tick

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
	l.listener, err = l.at.options.Broker.Listen(spec)
	return err
}

// load takes note of how many flows the listener has. It is called by the loop.
func (l *lead) load() {
	l.loading.Lock()
	defer l.loading.Unlock()
	l.flows = l.is.Flows
	l.tell()
}

// drain takes note of whether its node takes new flows. It is called by the loop.
func (l *lead) drain(on bool) {
	l.loading.Lock()
	l.draining = on
	l.loading.Unlock()
	l.load()
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
	ctx, cancel := context.WithCancel(l.at.ctx)
	l.mu.Lock()
	l.ends[o.CID] = cancel
	l.mu.Unlock()
	l.used.Store(true)
	l.at.carrying.Go(func() {
		defer cancel()
		defer l.settled(o.CID)
		defer l.at.contain(o)
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

// passes tells whether a flow that a listener's node refuses for that reason goes to the
// next: it was that node's fault, or nobody's.
func passes(reason flow.Reason) bool {
	switch reason {
	case flow.NoHandler, flow.Overloaded, flow.Draining, flow.HandlerTimeout, flow.PeerGone:
		return true
	}
	return false
}

// carry offers a flow to the listener, and relays it if that takes it.
func (l *lead) carry(ctx context.Context, cancel context.CancelFunc, o routing.Offer) {
	c := &carried{at: l.at, cancel: cancel, Sent: codec.NewSent()}
	bot, refusal, err := c.ask(ctx, &gatewayv1.CarriedFlow{ListenerId: l.id}, o)
	switch {
	case err != nil:
		l.pass(ctx, o, text.Detail(err.Error()))
	case refusal != nil && passes(refusal.Reason):
		l.pass(ctx, o, text.Detail(refusal.Error()))
	case refusal != nil:
		// What is gone needs no refusal.
		_ = l.at.options.Broker.Refuse(o.CID, refusal.Reason, refusal.Detail)
	default:
		l.settled(o.CID)
		if c.accept(ctx, o, bot) {
			l.at.counts.carriedOut.Add(1)
			c.relay(ctx)
		}
	}
}

// pass has the flow go to the next listener.
func (l *lead) pass(ctx context.Context, o routing.Offer, why string) {
	if ctx.Err() == nil { // it was not withdrawn
		l.at.counts.passed.Add(1)
		l.at.lines.Log(ctx, slog.LevelInfo, "cluster_passed", logs.Of(l.at.name, ""), "flow not taken by another node",
			"node", l.at.name, "listener", l.name, "detail", why)
		l.hold()
	}
	o.Pass()
}
