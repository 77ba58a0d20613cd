package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/gateway"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/admin"
)

// added are the added routes as the node tries them, as "node/name".
func (n *node) added() string {
	n.t.Helper()
	r, err := n.admin().ListRoutes(n.t.Context(), &gatewayv1.ListRoutesRequest{})
	if err != nil {
		n.t.Fatal(err)
	}
	var names []string
	for _, route := range r.GetRoutes() {
		if route.GetOrigin() == gatewayv1.RouteOrigin_ROUTE_ORIGIN_ADDED {
			names = append(names, route.GetNode()+"/"+route.GetRoute().GetName())
		}
	}
	return strings.Join(names, " ")
}

// tries waits until the node has these added routes.
func (n *node) tries(routes string) {
	n.t.Helper()
	until(n.t, n.name+" has the routes "+routes, func() bool { return n.added() == routes })
}

func (n *node) add(r *gatewayv1.Route) {
	n.t.Helper()
	if _, err := n.admin().AddRoute(n.t.Context(), &gatewayv1.AddRouteRequest{Route: r}); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) remove(name string) {
	n.t.Helper()
	if _, err := n.admin().RemoveRoute(n.t.Context(), &gatewayv1.RemoveRouteRequest{Name: name}); err != nil {
		n.t.Fatal(err)
	}
}

// takes is a flow of a stream that is given at the node.
func (n *node) takes(stream string) *stream {
	n.t.Helper()
	return n.open(&gatewayv1.Bot{Direction: inject, Credit: 5, Label: fmt.Sprintf(`{"flow":"BOT","stream":%q,"count":2}`, stream)})
}

// by is who takes the flow: the BOT that comes next.
func (s *stream) by() string {
	s.t.Helper()
	m, err := s.Recv()
	if err != nil {
		return err.Error()
	}
	by := m.GetBot().GetTakenBy()
	return fmt.Sprintf("%s at %s by %s", by.GetTransport(), by.GetNode(), by.GetRoute())
}

func generate(name, stream string) *gatewayv1.Route {
	return &gatewayv1.Route{
		Name: name, Match: fmt.Sprintf("attributes.stream == %q", stream),
		Factory: &gatewayv1.Route_Builtin{Builtin: &gatewayv1.BuiltinFactory{Name: "generate"}},
	}
}

// TestRoutes: a route that is added at one node is one at the others, behind their own; its flows
// are carried to it; and it goes when it is removed.
func TestRoutes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	early := generate("early", "early")
	early.MaxCredit, early.Priority = 2, 3
	a.add(early)
	b := r.start("b", a)
	b.tries("a/early")
	ruled := generate("ruled", "")
	ruled.Match, ruled.Rules = "", `local s = "late"; [{rule: "(= stream '%s')" % s}]`
	b.add(ruled)
	a.tries("a/early b/ruled")
	b.tries("a/early b/ruled")

	s := b.takes("early")
	if bot := s.next().GetBot(); bot.GetCredit() != 2 || bot.GetTakenBy().GetNode() != "a" || bot.GetTakenBy().GetRoute() != "early" || bot.GetTakenBy().GetTransport() != "builtin" {
		t.Errorf("the client at b is with %v", bot)
	}
	s.pay(2)
	for range 2 {
		if s.next().GetDat() == nil {
			t.Error("no DAT came")
		}
	}
	s.eot()
	s.ends()
	for _, n := range []*node{a, b} {
		until(t, "the flow has completed at "+n.name, func() bool { return n.Broker().Stats().Ended[flow.Completed] == 1 })
	}
	if by := a.takes("late").by(); by != "builtin at b by ruled" {
		t.Errorf("by a ruleset a flow goes to %q", by)
	}
	for n, want := range map[*node]string{a: "early 1 0, ruled 1 1", b: "early 1 0, ruled 1 1"} {
		until(t, n.name+" counts "+want, func() bool {
			r, err := n.admin().ListRoutes(t.Context(), &gatewayv1.ListRoutesRequest{})
			var got []string
			for _, route := range r.GetRoutes() {
				if route.GetOrigin() == gatewayv1.RouteOrigin_ROUTE_ORIGIN_ADDED && route.GetRoute().GetBuiltin().GetName() == "generate" {
					got = append(got, fmt.Sprintf("%s %d %d", route.GetRoute().GetName(), route.GetTaken(), route.GetFlows()))
				}
			}
			return err == nil && strings.Join(got, ", ") == want
		})
	}

	c := r.start("c", a)
	c.tries("a/early b/ruled")
	a.remove("early")
	b.tries("b/ruled")
	c.tries("b/ruled")
	c.add(generate("early", "early")) // its name is free, as it would have been before
	a.tries("b/ruled c/early")
	if by := a.takes("early").by(); by != "builtin at c by early" {
		t.Errorf("the flow goes to %q", by)
	}
}

// TestRoutesOfOneName: two nodes may have them, and a node's own comes first.
func TestRoutesOfOneName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b, c := r.start("b", a), r.start("c", a)
	for _, n := range []*node{a, b, c} {
		n.knows(2, 0)
	}
	for _, n := range []*node{c, b} {
		n.add(generate("raw", "raw"))
	}
	a.tries("b/raw c/raw")
	c.tries("c/raw b/raw")
	for n, want := range map[*node]string{a: "builtin at b by raw", c: "builtin at  by raw"} {
		if by := n.takes("raw").by(); by != want {
			t.Errorf("a flow at %s goes to %q, want %q", n.name, by, want)
		}
	}
	_, err := a.admin().RemoveRoute(t.Context(), &gatewayv1.RemoveRouteRequest{Name: "raw"})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "it is to be removed at node b or c") {
		t.Errorf("a has removed it: %v", err)
	}
	b.remove("raw")
	a.tries("c/raw")
	if by := a.takes("raw").by(); by != "builtin at c by raw" {
		t.Errorf("then a flow goes to %q", by)
	}
	view, err := a.admin().TestRoute(t.Context(), &gatewayv1.TestRouteRequest{Bot: &gatewayv1.Bot{Direction: inject, Label: `{"stream":"raw"}`}})
	if err != nil || view.GetRoute() != "raw" || view.GetNode() != "c" ||
		!strings.HasSuffix(view.GetVerdicts()[0].GetExplanation(), "a flow is carried to node c, which finds the handler") {
		t.Errorf("it is explained as %v, %v", view, err)
	}
}

// TestRouteToListeners: of another node it is as one of the node's own, which looks for the
// listeners itself.
func TestRouteToListeners(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b, c := r.start("b", a), r.start("c", a)
	a.knows(2, 0)
	b.add(&gatewayv1.Route{
		Name: "raw", Match: "attributes.stream == 'raw'", MaxCredit: 2,
		Factory: &gatewayv1.Route_Listener{Listener: &gatewayv1.ListenerFactory{Name: "workers"}},
	})
	a.tries("b/raw")
	never := &gatewayv1.ListenRequest{Name: "workers", Match: "false"}
	far := c.listen(never)
	a.knows(2, 1)
	client := a.takes("raw") // at a nobody listens
	if offer := far.next(); offer.GetPeer().GetNode() != "a" || offer.GetBot().GetCredit() != 2 {
		t.Errorf("the listener at c is offered %v", offer)
	}
	client.cancel()
	near := a.listen(never)
	a.takes("raw")
	if peer := near.next().GetPeer(); peer.GetNode() != "" {
		t.Errorf("the listener at a is offered a flow of %v", peer)
	}
	if _, err := b.admin().Drain(t.Context(), &gatewayv1.DrainRequest{}); err != nil {
		t.Fatal(err)
	}
	until(t, "a knows that b drains", func() bool { return slices.ContainsFunc(a.Status().Cluster.Nodes, drains("b")) })
	a.tries("b/raw") // which needs b for nothing
}

// TestRouteElsewhere: commands and connections are their node's. One that cannot be had ends the
// flow as at that node; whether commands may be added, each node says for itself.
func TestRouteElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	outside := r.config("outside") // what serves at the address
	outside.Cluster = gateway.DefaultConfig().Cluster
	o := r.run(outside)
	a := r.start("a")
	c := r.config("b", a)
	c.Routing.AllowExec = true
	b := r.run(c)
	a.knows(1, 0)
	b.knows(1, 0)
	a.reach(b)
	b.reach(a)
	connect := func(name, address string) *gatewayv1.Route {
		return &gatewayv1.Route{
			Name: name, Match: fmt.Sprintf("attributes.stream == %q", name),
			Factory: &gatewayv1.Route_Connect{Connect: &gatewayv1.ConnectFactory{Address: address}},
		}
	}
	b.add(connect("far", o.Addresses().ZMQServer[0]))
	b.add(connect("nobody", "ipc:///nonexistent/socket"))
	b.add(&gatewayv1.Route{
		Name: "command", Match: "attributes.stream == 'command'",
		Factory: &gatewayv1.Route_Exec{Exec: &gatewayv1.ExecFactory{Command: []string{"sh", "-c", "echo not today >&2; exit 3"}}},
	})
	a.tries("b/far b/nobody b/command")
	a.add(generate("last", "none"))
	s := a.open(&gatewayv1.Bot{Direction: inject, Credit: 5, Label: `{"flow":"BOT","stream":"far","builtin":"generate","count":1}`})
	if by := s.by(); by != "zmq-client at b by far" {
		t.Errorf("the flow goes to %q", by)
	}
	s.pay(1)
	if s.next().GetDat() == nil {
		t.Error("nothing came of the handler that b has connected to")
	}
	if by := a.takes("command").by(); !strings.Contains(by, "command sh exited with status 3 before it accepted: not today") {
		t.Errorf("a command at b has %q", by)
	}
	if by := a.takes("nobody").by(); !strings.Contains(by, "no_handler: the handler of route nobody is not there") {
		t.Errorf("a handler that b does not reach has %q", by)
	}
	if log := a.log.String(); strings.Contains(log, "flow not taken by another node") {
		t.Error("one of them was passed on")
	}
	exec := &gatewayv1.Route{Name: "x", Factory: &gatewayv1.Route_Exec{Exec: &gatewayv1.ExecFactory{Command: []string{"true"}}}}
	for by, where := range map[*node]string{b: "a", a: ""} {
		if _, err := by.admin().AddRoute(t.Context(), &gatewayv1.AddRouteRequest{Route: exec, Node: where}); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("a command was added at a: %v", err)
		}
	}
	if _, err := a.admin().AddRoute(t.Context(), &gatewayv1.AddRouteRequest{Route: exec, Node: "b"}); err != nil {
		t.Errorf("b lets its operators add commands, and says %v", err)
	}
}

// TestFullNode: a flow that the route's node does not take goes to the next route, or waits for
// that one, and its client and the log are told why.
func TestFullNode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ca, cb := r.config("a"), r.config("b")
	ca.Limits.HandlerWait, ca.Limits.PendingTimeout = patience, patience
	a := r.run(ca)
	cb.Cluster.Join, cb.Limits.MaxFlows = []string{a.Addresses().Cluster}, 1
	b := r.run(cb)
	first := generate("first", "raw")
	first.Priority = 5
	b.add(first)
	a.tries("b/first")
	held := b.takes("raw")
	held.next()
	a.add(generate("second", "raw"))
	if by := a.takes("raw").by(); by != "builtin at  by second" {
		t.Errorf("what b has no room for goes to %q", by)
	}
	if log := a.log.String(); !strings.Contains(log, "flow not taken by another node") || !strings.Contains(log, "node b, whose route first is, does not take it") {
		t.Error("the log does not say why")
	}
	a.remove("second")
	waiting := a.takes("raw")
	until(t, "it has been tried", func() bool { return a.Broker().Live() == 2 && strings.Count(a.log.String(), "does not take it") > 1 })
	held.cancel()
	if by := waiting.by(); by != "builtin at b by first" {
		t.Errorf("what waits for room at b goes to %q", by)
	}

	limits := a.Broker().Options()
	limits.HandlerWait = 0
	if err := a.Broker().SetLimits(limits); err != nil {
		t.Fatal(err)
	}
	_, err := a.takes("raw").Recv()
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "node b, whose route first is, does not take it: ") ||
		!strings.Contains(err.Error(), "and no handler takes this BOT") {
		t.Errorf("a client that waits for nobody is told %v", err)
	}
}

// drains tells of a node of that name.
func drains(name string) func(admin.ClusterNode) bool {
	return func(n admin.ClusterNode) bool { return n.Name == name && n.Draining }
}

// TestRoutesLeave with their node: when it drains, as far as it would carry them out, when it
// leaves, and when it dies.
func TestRoutesLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b := r.start("b", a)
	dying := r.spawn(r.config("c", a).Cluster, nil)
	dying.dial()
	a.knows(2, 0)
	b.add(generate("draining", "raw"))
	dying.add(generate("dying", "dying"))
	a.tries("b/draining c/dying")

	if _, err := a.admin().Drain(t.Context(), &gatewayv1.DrainRequest{Node: "b"}); err != nil {
		t.Fatal(err)
	}
	a.tries("c/dying")
	waits := a.takes("raw")
	if _, err := a.admin().Undrain(t.Context(), &gatewayv1.UndrainRequest{Node: "b"}); err != nil {
		t.Fatal(err)
	}
	a.tries("b/draining c/dying")
	if by := waits.by(); by != "builtin at b by draining" && !strings.Contains(by, "no_handler") { // on a slow machine it has not waited long enough
		t.Errorf("what waits goes to %q", by)
	}
	dying.signal(syscall.SIGKILL)
	a.tries("b/draining")
	b.stop()
	a.tries("")
	if by := a.takes("dying").by(); !strings.Contains(by, "no handler takes this BOT") {
		t.Errorf("then a flow goes to %q", by)
	}
	again := r.start("b", a)
	a.knows(1, 0)
	again.tries("")
}

// worded takes nothing, and says that it matches that.
type worded string

func (worded) Match(*matching.View) bool { return false }
func (w worded) String() string          { return string(w) }

// nowhere is a factory that finds nobody.
type nowhere struct{}

func (nowhere) Find(context.Context, *routing.Request) error { return nil }

// TestRouteOfOne: what makes no sense here takes nothing, and the log says so once; what cannot be
// told is not.
func TestRouteOfOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b := r.start("b", a)
	a.knows(1, 0)
	for name, match := range map[string]worded{"senseless": "attributes.stream ==", "wordless": ""} {
		if _, err := b.Broker().AddRoute(routing.Route{Name: name, Match: match, Factory: nowhere{}}); err != nil {
			t.Fatal(err)
		}
	}
	b.add(generate("raw", "raw"))
	until(t, "a has all that is told", func() bool {
		all := a.added()
		return strings.Contains(all, "b/senseless") && strings.HasSuffix(all, "b/raw") && !strings.Contains(all, "b/wordless")
	})
	if by := a.takes("raw").by(); by != "builtin at b by raw" {
		t.Errorf("a flow goes to %q", by)
	}
	view, err := a.admin().TestRoute(t.Context(), &gatewayv1.TestRouteRequest{Bot: &gatewayv1.Bot{Direction: inject, Label: `{"stream":"raw"}`}})
	if err != nil || !strings.HasPrefix(view.GetVerdicts()[0].GetExplanation(), "this node does not understand it: match expression: 1:") {
		t.Errorf("it is explained as %v, %v", view, err)
	}
	if n := strings.Count(a.log.String(), "route of a node takes nothing here"); n != 1 {
		t.Errorf("the log of a tells of it %d times", n)
	}
	if n := strings.Count(b.log.String(), "route not told to other nodes"); n != 1 {
		t.Errorf("the log of b tells of what it does not tell %d times", n)
	}
}

// TestRoutesOfOneView: an operator adds, shows, tries and removes routes at any node by its name,
// and that node's log says who has.
func TestRoutesOfOneView(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b := r.start("b", a)
	a.knows(1, 0)
	b.knows(1, 0)
	a.reach(b)
	added, err := a.admin().AddRoute(t.Context(), &gatewayv1.AddRouteRequest{Route: generate("raw", "raw"), Node: "b"})
	if err != nil || added.GetRoute().GetNode() != "b" {
		t.Fatalf("added was %v, %v", added, err)
	}
	b.tries("b/raw")
	if _, err := a.admin().AddRoute(t.Context(), &gatewayv1.AddRouteRequest{Route: generate("raw", "raw"), Node: "b"}); status.Code(err) != codes.AlreadyExists {
		t.Errorf("it is there twice: %v", err)
	}
	if _, err := a.admin().AddRoute(t.Context(), &gatewayv1.AddRouteRequest{Route: &gatewayv1.Route{Name: "x", Rules: "[", Factory: generate("", "").GetFactory()}, Node: "b"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a ruleset that makes no sense: %v", err)
	}
	a.tries("b/raw")
	tried := &gatewayv1.TestRouteRequest{Bot: &gatewayv1.Bot{Direction: inject, Label: `{"stream":"raw"}`}, Node: "b"}
	view, err := a.admin().TestRoute(t.Context(), tried)
	if err != nil || view.GetNode() != "b" || view.GetVerdicts()[0].GetExplanation() != "is true" {
		t.Errorf("at b it is explained as %v, %v", view, err)
	}
	list, err := a.admin().ListRoutes(t.Context(), &gatewayv1.ListRoutesRequest{Node: "b", PageSize: 1})
	if err != nil || len(list.GetRoutes()) != 1 || list.GetNextPageToken() == "" || list.GetRoutes()[0].GetNode() != "b" {
		t.Errorf("b tries %v, %v", list, err)
	}
	list, err = a.admin().ListRoutes(t.Context(), &gatewayv1.ListRoutesRequest{Node: "b", PageToken: list.GetNextPageToken()})
	if err != nil || len(list.GetRoutes()) != 2 || list.GetRoutes()[0].GetRoute().GetName() != "dump" {
		t.Errorf("and then %v, %v", list, err)
	}
	if _, err := a.admin().RemoveRoute(t.Context(), &gatewayv1.RemoveRouteRequest{Name: "raw", Node: "b"}); err != nil {
		t.Error(err)
	}
	a.tries("")
	for _, line := range []string{"route added", "route removed"} {
		if log := b.log.String(); !strings.Contains(log, fmt.Sprintf(`msg=%q route=raw`, line)) || !strings.Contains(log, " at a\"") {
			t.Errorf("the log of b does not say %q, and who it was:\n%s", line, log)
		}
	}
	for what, err := range map[string]error{
		"add":    second(a.admin().AddRoute(t.Context(), &gatewayv1.AddRouteRequest{Route: generate("raw", "raw"), Node: "d"})),
		"remove": second(a.admin().RemoveRoute(t.Context(), &gatewayv1.RemoveRouteRequest{Name: "raw", Node: "d"})),
		"try":    second(a.admin().TestRoute(t.Context(), &gatewayv1.TestRouteRequest{Bot: tried.GetBot(), Node: "d"})),
		"list":   second(a.admin().ListRoutes(t.Context(), &gatewayv1.ListRoutesRequest{Node: "d"})),
	} {
		if status.Code(err) != codes.NotFound {
			t.Errorf("%s at a node that is not there: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
