package zioflow

import (
	"context"
	"math"
	"sync"
	"time"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Listener is what a process announces that handles flows.
type Listener struct {
	// Name is shared by the listeners that share their flows, the least busy
	// first. Required.
	Name string
	// Match selects the flows: a CEL expression over attributes, direction (the
	// handler's: "inject" = it will take), credit, peer.transport, peer.address
	// and peer.identity. A missing attribute makes it false. Empty: all flows.
	Match string
	// MaxFlows bounds the flows handled at once, offers included; 0 does not. What is left of
	// a listener that Serve has lost does not count for the next one.
	MaxFlows uint32
	// OnListening, if not nil, is called once the gateway has registered the
	// listener, before any offer is handled: flows opened from then on can reach
	// it. The id is the one by which operators know the listener.
	OnListening func(id uint64)
	// OnLost, if not nil, is called by Serve when the listener has come to an end, with
	// why, and after how long it is announced again.
	OnLost func(err error, retry time.Duration)
}

// Handler handles one offered flow, from the offer to the end: it accepts the
// offer with Give or Take, or declines it. Each call has its own goroutine.
//
// The ctx ends when the offer is withdrawn, with a *FlowError as its cause, and
// with the ctx of Handle. An error, or no error, from a Handler that has not
// accepted declines the offer, the client being told the error's text. A flow
// that was accepted and has not ended when the Handler returns is aborted;
// its error is reported to nobody.
type Handler func(ctx context.Context, offer *Offer) error

// Handle announces a listener and has handle called for each flow offered to
// it. It returns when the listener has come to an end and every Handler has
// returned: with ctx's cause when ctx has ended, or with the error that ended
// the listener. In that case offers not yet accepted are withdrawn, but flows
// go on.
func (g *Gateway) Handle(ctx context.Context, l Listener, handle Handler) error {
	ctx, cancel := g.scope(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	defer running.Wait()
	return g.listen(ctx, l, handle, &running)
}

// listen is Handle without its wait for the Handlers: these are in running. The ctx has to be
// of a scope.
func (g *Gateway) listen(ctx context.Context, l Listener, handle Handler, running *sync.WaitGroup) error {
	stream, err := g.handlers.Listen(ctx, &gatewayv1.ListenRequest{
		Name: l.Name, Match: l.Match, MaxFlows: l.MaxFlows,
		MaxOfferBytes: uint32(min(int64(g.limit), math.MaxUint32)), // what is received here
	}, g.calls...)
	if err != nil {
		return g.listenerError(ctx, err)
	}
	d := &desk{gateway: g, handle: handle, running: running, offers: map[uint64]*Offer{}}
	for {
		event, err := stream.Recv()
		if err != nil {
			err = g.listenerError(ctx, err)
			d.close(err)
			return err
		}
		d.receive(ctx, event, l.OnListening)
	}
}

// desk is where a listener's offers come in.
type desk struct {
	gateway *Gateway
	handle  Handler
	running *sync.WaitGroup

	mu     sync.Mutex
	offers map[uint64]*Offer // guarded by mu; those being handled, by cid
}

func (d *desk) receive(ctx context.Context, event *gatewayv1.ListenResponse, onListening func(uint64)) {
	switch {
	case event.GetListening() != nil:
		if onListening != nil {
			onListening(event.GetListening().GetListenerId())
		}
	case event.GetOffer() != nil:
		ctx, withdraw := context.WithCancelCause(ctx)
		o := newOffer(d.gateway, event.GetOffer(), withdraw)
		d.add(o)
		d.running.Go(func() {
			defer withdraw(nil)
			defer d.remove(o)
			o.conclude(ctx, d.handle(ctx, o))
		})
	case event.GetWithdrawn() != nil:
		d.withdraw(event.GetWithdrawn())
	}
}

func (d *desk) add(o *Offer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offers[o.cid] = o
}

func (d *desk) remove(o *Offer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.offers, o.cid)
}

// withdraw tells the offer's Handler, unless it has returned.
func (d *desk) withdraw(w *gatewayv1.Withdrawn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := d.offers[w.GetCid()]; o != nil {
		o.withdraw(&FlowError{Reason: Reason(w.GetReason()), Detail: "the offer was withdrawn"})
	}
}

// close withdraws what nobody has accepted.
func (d *desk) close(cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.offers {
		if !o.used.Load() {
			o.withdraw(cause)
		}
	}
}
