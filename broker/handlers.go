package broker

import (
	"context"
	"errors"
	"log/slog"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Listen registers a listener. Flows opened from now on can reach it, and those that
// wait for a handler. The error is a *flow.Error where it lacks a right.
func (b *Broker) Listen(spec listeners.Spec) (*listeners.Listener, error) {
	l, err := b.listeners.Listen(spec)
	if no, ok := errors.AsType[*flow.Error](err); ok {
		b.log.Warn("listener refused", "peer", spec.Peer, "name", spec.Name, "detail", no.Detail, "cause", string(no.Denied))
		b.denied(spec.Peer, no.Denied)
	}
	return l, err
}

// Listeners describes the listeners in the order of registration.
func (b *Broker) Listeners() []listeners.Info { return b.listeners.List() }

// ListenerChanges are signals of what becomes of listeners, those of other nodes left out, and
// TakeChangedListeners is what has become of which, as listeners.Registry has both.
func (b *Broker) ListenerChanges() (came, crossed <-chan struct{}) { return b.listeners.Changes() }

// TakeChangedListeners is described at ListenerChanges.
func (b *Broker) TakeChangedListeners() (changed []listeners.Info, left []uint64) {
	return b.listeners.TakeChanged()
}

// takeOffer returns the flow that was offered with this cid, once. Its errors are those of
// routing.Offers.Take.
func (b *Broker) takeOffer(cid zio.Number, name string) (*relay.Flow, error) {
	r, err := b.router.Offers.Take(cid, name)
	if err != nil {
		return nil, err
	}
	f := b.Flow(r.Flow())
	if f == nil { // it has ended, and is remembered no more
		return nil, routing.ErrNoOffer
	}
	return f, nil
}

// Decline refuses the request that was offered with this cid, on behalf of that
// peer: its client is told. The error is routing.ErrNoOffer or routing.ErrForeignOffer.
func (b *Broker) Decline(by transport.PeerInfo, cid uint64, detail string) error {
	r, err := b.takeRequest(cid, by.Name)
	if no, ok := errors.AsType[*flow.Error](err); ok {
		b.say(slog.LevelWarn, lineDenied, by, "decline refused", "peer", by, "detail", no.Detail, "cause", string(no.Denied))
		b.denied(by, no.Denied)
	}
	if err != nil {
		return err
	}
	r.Refuse(flow.Rejected, detail)
	return nil
}

// DeclineAnywhere is Decline for an offer that may be another node's of the cluster.
func (b *Broker) DeclineAnywhere(ctx context.Context, by transport.PeerInfo, cid uint64, detail string) error {
	err := b.Decline(by, cid, detail)
	if others := b.others(); errors.Is(err, routing.ErrNoOffer) && others != nil && others.Knows(cid) {
		return others.Decline(ctx, by, cid, detail)
	}
	return err
}

// Refuse ends the flow that was offered with this cid, to anybody, for that reason. The error
// is that of Decline.
func (b *Broker) Refuse(cid uint64, reason flow.Reason, detail string) error {
	r, err := b.takeRequest(cid, "")
	if err == nil {
		r.Refuse(reason, detail)
	}
	return err
}

// takeRequest is Offers.Take for a cid as the contract has it.
func (b *Broker) takeRequest(cid uint64, name string) (*routing.Request, error) {
	if cid > zio.MaxCID {
		return nil, routing.ErrNoOffer
	}
	return b.router.Offers.Take(zio.Number{Value: int64(cid), Form: zio.Integer}, name)
}

// Explain returns the verdict of every route on a BOT, in the order in which they
// are tried. No flow is opened by it. The error is the cause of the context's end.
func (b *Broker) Explain(ctx context.Context, v *matching.View) ([]routing.Verdict, error) {
	return b.router.Explain(ctx, v)
}

// AddRoute adds a route behind those of the same priority that are configured or
// were added, for flows opened from now on. routing.ErrRouteExists when there is one of
// that name; a listener's does not count.
func (b *Broker) AddRoute(r routing.Route) (routing.RouteInfo, error) {
	return b.router.Table.Add(r)
}

// AddFarRoute is routing.Table.AddFar.
func (b *Broker) AddFarRoute(r routing.Route, of routing.Far) (*routing.FarRoute, error) {
	return b.router.Table.AddFar(r, of)
}

// AddedRoutes is routing.Table.Added, AddedRoutesChanges routing.Table.AddedChanges.
func (b *Broker) AddedRoutes() []routing.RouteInfo { return b.router.Table.Added() }

// AddedRoutesChanges is described at AddedRoutes.
func (b *Broker) AddedRoutesChanges() <-chan struct{} { return b.router.Table.AddedChanges() }

// RemoveRoute removes the route of that name, configured ones until the next
// SetRoutes; its flows go on. The error is that of routing.Table.Remove.
func (b *Broker) RemoveRoute(name string) (routing.RouteInfo, error) {
	return b.router.Table.Remove(name)
}

// AddDefaultRoute is routing.Table.AddDefault.
func (b *Broker) AddDefaultRoute(r routing.Route) error { return b.router.Table.AddDefault(r) }

// AddNamedRoute is routing.Table.AddNamed.
func (b *Broker) AddNamedRoute(r routing.Route) error { return b.router.Table.AddNamed(r) }

// CheckRoutes is routing.Table.Check.
func (b *Broker) CheckRoutes(routes []routing.Route) error { return b.router.Table.Check(routes) }

// SetRoutes is routing.Table.Set.
func (b *Broker) SetRoutes(routes []routing.Route) error { return b.router.Table.Set(routes) }

// Routes describes the routes in the order in which they are tried.
func (b *Broker) Routes() []routing.RouteInfo { return b.router.Table.List() }

// SetElsewhere makes the broker that of a cluster's node: its cids carry that number, which
// is below 1<<routing.NodeBits and not 0, and others' are looked for there.
func (b *Broker) SetElsewhere(node uint16, e Elsewhere) {
	b.router.Offers.SetNode(node)
	b.elsewhere.Store(&e)
}

// others is the other nodes; nil for none.
func (b *Broker) others() Elsewhere {
	if e := b.elsewhere.Load(); e != nil {
		return *e
	}
	return nil
}

// Offered tells whether an offer has this cid.
func (b *Broker) Offered(cid uint64) bool { return b.router.Offers.Has(cid) }

// AttachAccepting is AttachWith for the handler of another node, which may take what is
// offered at this one alone.
func (b *Broker) AttachAccepting(link transport.Link, info transport.PeerInfo, grant rights.Grant) *Peer {
	p := b.AttachWith(link, info, grant)
	p.near = true
	return p
}
