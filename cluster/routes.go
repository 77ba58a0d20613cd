package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/match/jsonnet"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/routing"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/codec"
)

// farRoute is a route that was added at another node, as this node's broker has it. One that
// leads to listeners is as if it had been added here; the flows of any other are carried to its
// node, which finds the handler. Its methods may be called concurrently.
type farRoute struct {
	at   *remote
	id   uint64      // at its node
	spec routes.Spec // as that has told it

	mu       sync.Mutex
	match    matching.Match    // guarded by mu
	known    bool              // guarded by mu; match is
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
	switch wanted := f.known && !f.gone && (leads || !f.draining); {
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
		m := f.at
		var err error
		f.entry, err = m.options.Broker.AddFarRoute(route, routing.Far{Node: m.name, NodeID: string(m.id), Number: f.id})
		if err != nil {
			f.gone = true
			m.log.Warn("route of a node cannot be used", "node", m.name, "route", f.spec.Name, "error", err)
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
		f.at.compiler.add(f)
	}
}

// wanted tells whether it is to be known what it matches.
func (f *farRoute) wanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.gone
}

// compile finds out what it matches. One that makes no sense here takes nothing.
func (f *farRoute) compile(ctx context.Context) {
	matches, err := f.compiled(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, jsonnet.ErrCannotStart):
		f.again = true
		return
	case err != nil: // its node has taken it
		f.at.log.Warn("route of a node takes nothing here", "node", f.at.name, "route", f.spec.Name, "error", err)
		matches = senseless{err}
	}
	f.match, f.known = matches, true
	f.place()
}

func (f *farRoute) compiled(ctx context.Context) (matching.Match, error) {
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

// carriedOut is the factory of a route that is carried out at its node: flows are carried there,
// and that route's factory there finds the handler.
type carriedOut struct{ *farRoute }

// Description implements routes.Described.
func (c carriedOut) Description() routes.Description { return c.spec.Factory }

// Explain implements matching.Explainer.
func (c carriedOut) Explain(*matching.View) string {
	return fmt.Sprintf("a flow is carried to node %s, which finds the handler", c.at.name)
}

// Find implements routing.Factory: it returns when a handler at the node has the flow.
func (c carriedOut) Find(ctx context.Context, r *routing.Request) error {
	m := c.at
	offer, err := r.Offer()
	if err != nil {
		return err
	}
	r.IfLate(flow.HandlerTimeout, fmt.Sprintf("node %s has found no handler for its route %s in time", m.name, c.spec.Name))
	carrying, cancel := context.WithCancel(m.ctx)
	settled := context.AfterFunc(ctx, cancel) // the flow is not pending any more
	x := &carried{at: m, cancel: cancel, Sent: codec.NewSent()}
	bot, refusal, err := x.ask(carrying, &gatewayv1.CarriedFlow{RouteId: c.id}, offer)
	switch pending := settled(); {
	case err == nil && refusal == nil && pending && x.accept(carrying, offer, bot):
		m.counts.carriedOut.Add(1)
		m.carrying.Go(func() {
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
	m := c.at
	m.counts.passed.Add(1)
	passed := &routing.Passed{Reason: reason, Why: text.Detail(fmt.Sprintf("node %s, whose route %s is, does not take it: %s", m.name, c.spec.Name, why))}
	m.lines.Log(context.Background(), slog.LevelInfo, "cluster_passed", logs.Of(m.name, ""), "flow not taken by another node",
		"node", m.name, "route", c.spec.Name, "detail", passed.Why)
	c.hold(passed)
	return passed
}
