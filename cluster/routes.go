package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/match/jsonnet"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/cluster/wire"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/contract"
)

// maxRoute bounds what other nodes are told of a route, in bytes: what AddRoute takes fits, but
// for long commands.
const maxRoute = 96 << 10

// ownRoute is a route that was added here as others are told. Of what is too long only the kind
// of its factory is told: that is for operators to read.
func (n *Node) ownRoute(r routing.RouteInfo) (members.Route, error) {
	spec := n.options.Routes.Maker.SpecOf(r.Route)
	if r.Match != nil && spec.Match == "" && spec.Rules == "" {
		return members.Route{}, errors.New("what it matches cannot be put in words")
	}
	route := contract.ToRoute(spec)
	if proto.Size(route) > maxRoute {
		for kind := range spec.Factory {
			spec.Factory = routes.Description{kind: map[string]any{}}
		}
		route = contract.ToRoute(spec)
	}
	if size := proto.Size(route); size > maxRoute {
		return members.Route{}, fmt.Errorf("it has %d bytes, %d are told", size, maxRoute)
	}
	return wire.NewRoute(r.Number, route)
}

// takeRoutes adds routes to a table, as far as some will be taken in, and one more.
func (m *member) takeRoutes(t *members.Table, more []members.Route) {
	size := 0
	for i := range t.Routes {
		size += t.Routes[i].Size()
	}
	for i := 0; i < len(more) && len(t.Routes) <= m.node.options.members.MaxRoutes && size <= m.node.options.members.MaxRouteBytes; i++ {
		t.Routes = append(t.Routes, more[i])
		size += more[i].Size()
	}
}

// addRoute takes in a route, once it is known what it matches.
func (m *member) addRoute(is members.Route) {
	f := &farRoute{member: m, id: is.ID, draining: m.draining}
	route, err := wire.RouteOf(is)
	if err == nil {
		f.spec, err = contract.ToSpec(route)
	}
	if err != nil { // what this node cannot read the other knows
		m.node.log.Warn("route of a node cannot be read", "node", m.name, "route", f.spec.Name, "error", err)
	}
	m.routes[is.ID] = f
	m.node.ripening.add(f)
}

func (m *member) removeRoute(id uint64) {
	if f := m.routes[id]; f != nil {
		delete(m.routes, id)
		f.remove()
	}
}

// farRoute is a route that was added at another node, as this node's broker has it. One that
// leads to listeners is as if it had been added here; the flows of any other are carried to its
// node, which finds the handler. Its methods may be called concurrently.
type farRoute struct {
	member *member
	id     uint64      // at its node
	spec   routes.Spec // as that has told it

	mu       sync.Mutex
	match    matching.Match    // guarded by mu
	ripe     bool              // guarded by mu; match is known
	again    bool              // guarded by mu; it was to be known, and there was no room for that
	gone     bool              // guarded by mu
	draining bool              // guarded by mu; its node does
	entry    *routing.FarRoute // guarded by mu; nil while it is not among the routes
}

// listener is the name of the listeners that it leads to; false if it does not lead to any.
func (f *farRoute) listener() (string, bool) {
	fields, leads := f.spec.Factory["listener"].(map[string]any)
	name, _ := fields["name"].(string)
	return name, leads
}

// place has it be among the routes, or not. mu is held.
func (f *farRoute) place() {
	name, leads := f.listener()
	switch wanted := f.ripe && !f.gone && (leads || !f.draining); {
	case wanted == (f.entry != nil):
	case !wanted:
		f.entry.Remove()
		f.entry = nil
	default:
		route := routing.Route{
			Name: f.spec.Name, Match: f.match, Priority: f.spec.Priority, MaxCredit: f.spec.MaxCredit, Factory: carriedOut{f},
		}
		if leads {
			route.Factory = listeners.ToListeners{Name: name}
		}
		m := f.member
		var err error
		f.entry, err = m.node.options.Broker.AddFarRoute(route, routing.Far{Node: m.name, NodeID: string(m.id), Number: f.id})
		if err != nil {
			f.gone = true
			m.node.log.Warn("route of a node cannot be used", "node", m.name, "route", f.spec.Name, "error", err)
		}
	}
}

func (f *farRoute) remove() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = true
	f.place()
}

func (f *farRoute) drain(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draining = on
	f.place()
}

// hold has it take nothing until the next tick.
func (f *farRoute) hold(why *routing.Passed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.entry != nil {
		f.entry.Hold(why)
	}
}

// release has it be tried again.
func (f *farRoute) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.entry != nil {
		f.entry.Release()
	}
	if f.again {
		f.again = false
		f.member.node.ripening.add(f)
	}
}

// wanted tells whether it is to be known what it matches.
func (f *farRoute) wanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.gone
}

// ripen finds out what it matches. One that makes no sense here takes nothing.
func (f *farRoute) ripen(ctx context.Context) {
	matches, err := f.compile(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, jsonnet.ErrCannotStart):
		f.again = true
		return
	case err != nil: // its node has taken it
		f.member.node.log.Warn("route of a node takes nothing here", "node", f.member.name, "route", f.spec.Name, "error", err)
		matches = senseless{err}
	}
	f.match, f.ripe = matches, true
	f.place()
}

func (f *farRoute) compile(ctx context.Context) (matching.Match, error) {
	switch {
	case f.spec.Match != "" && f.spec.Rules != "":
		return nil, errors.New("it has both an expression and a ruleset")
	case f.spec.Match != "":
		return match.Compile(f.spec.Match)
	case f.spec.Rules != "":
		return match.ParseRules(ctx, f.spec.Rules)
	}
	return nil, nil
}

// senseless is what a route matches that makes no sense here: nothing.
type senseless struct{ why error }

// Match implements matching.Match.
func (senseless) Match(*matching.View) bool { return false }

// Explain implements matching.Explainer.
func (s senseless) Explain(*matching.View) string {
	return text.Detail("this node does not understand it: " + s.why.Error())
}

// ripening finds out what routes of other nodes match, one after the other and beside the loop:
// to evaluate a ruleset may take seconds, in which nobody would beat. Its methods may be called
// concurrently.
type ripening struct {
	ctx  context.Context
	stop context.CancelFunc

	mu      sync.Mutex
	waiting []*farRoute // guarded by mu
	running bool        // guarded by mu; somebody does
	done    sync.WaitGroup
}

func newRipening() *ripening {
	r := &ripening{}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// add has it be found out of a route.
func (r *ripening) add(f *farRoute) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, f)
	if !r.running && r.ctx.Err() == nil {
		r.running = true
		r.done.Go(r.run)
	}
}

func (r *ripening) run() {
	for {
		r.mu.Lock()
		if r.ctx.Err() != nil || len(r.waiting) == 0 {
			r.running, r.waiting = false, nil
			r.mu.Unlock()
			return
		}
		next := r.waiting[0]
		r.waiting[0], r.waiting = nil, r.waiting[1:]
		r.mu.Unlock()
		if next.wanted() {
			next.ripen(r.ctx)
		}
	}
}

// close finds out nothing more.
func (r *ripening) close() {
	r.mu.Lock()
	r.stop()
	r.mu.Unlock()
	r.done.Wait()
}

// carriedOut is the factory of a route that is carried out at its node: flows are carried there,
// and that route's factory there finds the handler.
type carriedOut struct{ *farRoute }

// Description implements routes.Described.
func (c carriedOut) Description() routes.Description { return c.spec.Factory }

// Explain implements matching.Explainer.
func (c carriedOut) Explain(*matching.View) string {
	return fmt.Sprintf("a flow is carried to node %s, which finds the handler", c.member.name)
}

// Find implements routing.Factory: it returns when a handler at the node has the flow.
func (c carriedOut) Find(ctx context.Context, r *routing.Request) error {
	m := c.member
	offer, err := r.Offer()
	if err != nil {
		return err
	}
	r.IfLate(flow.HandlerTimeout, fmt.Sprintf("node %s has found no handler for its route %s in time", m.name, c.spec.Name))
	carrying, cancel := context.WithCancel(m.ctx)
	settled := context.AfterFunc(ctx, cancel) // the flow is not pending any more
	x := &carried{member: m, cancel: cancel, Sent: codec.NewSent()}
	bot, refusal, err := x.ask(carrying, &gatewayv1.CarriedFlow{RouteId: c.id}, offer)
	switch pending := settled(); {
	case err == nil && refusal == nil && pending && x.accept(carrying, offer, bot):
		m.node.counts.carriedOut.Add(1)
		m.node.carrying.Go(func() {
			defer cancel()
			defer m.contain(offer)
			x.relay(carrying)
		})
		return nil
	case err == nil && refusal == nil || ctx.Err() != nil:
		cancel()
		return nil
	case err != nil:
		err = c.pass(flow.NoHandler, strings.TrimPrefix(x.gone(carrying, err), "node "+m.name+": "))
	case refusal.Reason == flow.Draining:
		err = c.pass(flow.NoHandler, refusal.Error())
	case refusal.Reason == flow.Overloaded:
		err = c.pass(flow.Overloaded, refusal.Error())
	default: // the node would take it, and there is no handler to be had
		err = refusal
	}
	cancel()
	return err
}

// pass has the flow take another route, and this one take none until the next tick.
func (c carriedOut) pass(reason flow.Reason, why string) error {
	m := c.member
	m.node.counts.passed.Add(1)
	passed := &routing.Passed{Reason: reason, Why: text.Detail(fmt.Sprintf("node %s, whose route %s is, does not take it: %s", m.name, c.spec.Name, why))}
	m.node.lines.Log(context.Background(), slog.LevelInfo, "cluster_passed", logs.Of(m.name, ""), "flow not taken by another node",
		"node", m.name, "route", c.spec.Name, "detail", passed.Why)
	c.hold(passed)
	return passed
}
