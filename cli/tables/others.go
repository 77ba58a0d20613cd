package tables

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Peers are a row for each peer.
func Peers(peers []*gatewayv1.ConnectedPeer, now time.Time) *Table {
	t := &Table{
		Columns: []Column{
			{"NODE", false}, {"ID", true}, {"PEER", false}, {"NAME", false}, {"FLOW", true}, {"PROTOCOL", false}, {"SECURITY", false},
			{"IN", true}, {"OUT", true}, {"QUEUED", true}, {"SEEN", true}, {"SINCE", true},
		},
		Empty: "no peers",
	}
	for _, p := range peers {
		flow := ""
		if p.GetFlowId() != 0 {
			flow = Number(p.GetFlowId())
		}
		queued := Cell{}
		if p.GetQueuedMessages() > 0 {
			queued = Cell{fmt.Sprintf("%d, %s", p.GetQueuedMessages(), Bytes(p.GetQueuedBytes())), Odd}
		}
		t.Rows = append(t.Rows, []Cell{
			of(p.GetNode()), of(Number(p.GetId())), of(unnamed(p.GetPeer())), of(p.GetPeer().GetName()), of(flow), of(p.GetProtocol()),
			security(p.GetMechanism()), of(Bytes(p.GetBytesIn())), of(Bytes(p.GetBytesOut())), queued,
			of(since(p.GetLastSeen(), now)), of(since(p.GetConnected(), now)),
		})
	}
	return t
}

// unnamed is a peer without the name that it has proved to have.
func unnamed(p *gatewayv1.Peer) string {
	words := []string{p.GetTransport(), p.GetAddress(), p.GetIdentity(), atNode(p)}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

func security(m gatewayv1.Mechanism) Cell {
	switch m {
	case gatewayv1.Mechanism_MECHANISM_UNSPECIFIED:
		return Cell{}
	case gatewayv1.Mechanism_MECHANISM_NONE:
		return Cell{"none", Dim}
	default:
		return Cell{word(m.String(), "MECHANISM_"), Good}
	}
}

// Listeners are a row for each listener.
func Listeners(listeners []*gatewayv1.Listener, now time.Time) *Table {
	t := &Table{
		Columns: []Column{{"NODE", false}, {"ID", true}, {"NAME", false}, {"FLOWS", true}, {"PEER", false}, {"SINCE", true}, {"MATCH", false}},
		Empty:   "no listeners",
	}
	for _, l := range listeners {
		flows := of(fmt.Sprint(l.GetFlows()))
		if most := l.GetMaxFlows(); most > 0 {
			flows.Text += fmt.Sprintf("/%d", most)
			if l.GetFlows() >= most {
				flows.Mood = Odd
			}
		}
		t.Rows = append(t.Rows, []Cell{
			of(l.GetNode()), of(Number(l.GetId())), of(l.GetName()), flows, of(Peer(there(l.GetPeer()))), of(since(l.GetRegistered(), now)), of(l.GetMatch()),
		})
	}
	return t
}

// there is a peer without its node, which stands in a column of its own.
func there(p *gatewayv1.Peer) *gatewayv1.Peer {
	if p.GetNode() == "" {
		return p
	}
	return &gatewayv1.Peer{Transport: p.GetTransport(), Address: p.GetAddress(), Identity: p.GetIdentity(), Name: p.GetName()}
}

// Cluster are a row for each gateway of a cluster.
func Cluster(c *gatewayv1.ClusterStatus, now time.Time) *Table {
	t := &Table{
		Title:   "cluster " + Printable(c.GetName()),
		Columns: []Column{{"NODE", false}, {"STATE", false}, {"FLOWS", true}, {"LISTENERS", true}, {"UP", true}, {"HEARD", true}, {"ADDRESS", false}, {"VERSION", false}, {"ID", false}},
	}
	for _, n := range c.GetNodes() {
		state, heard := Cell{"takes flows", Good}, since(n.GetHeard(), now)
		switch {
		case n.GetDraining():
			state = Cell{"draining", Odd}
		case now.Sub(n.GetHeard().AsTime()) > silentNode && !n.GetSelf():
			state = Cell{"silent", Bad}
		}
		if n.GetSelf() {
			heard = "this one"
		}
		t.Rows = append(t.Rows, []Cell{
			of(n.GetName()), state, of(Count(n.GetFlows())), of(Count(n.GetListeners())), of(since(n.GetStarted(), now)),
			of(heard), of(n.GetAddress()), of(n.GetVersion()), {n.GetId(), Dim},
		})
	}
	return t
}

// Unreachable is a line for each node of a cluster that has not answered.
func Unreachable(nodes []*gatewayv1.Unreachable) string {
	text := ""
	for _, n := range nodes {
		text += Printable("node "+n.GetNode()+" does not answer: "+n.GetReason()) + "\n"
	}
	return text
}

// Nodes are a row for each node.
func Nodes(nodes []*gatewayv1.Node, now time.Time) *Table {
	t := &Table{
		Columns: []Column{{"ID", true}, {"NAME", false}, {"ENDPOINT", false}, {"WHERE", false}, {"SINCE", true}, {"PORTS", false}, {"HEADERS", false}},
		Empty:   "no nodes",
	}
	for _, n := range nodes {
		where := "elsewhere"
		if n.GetLocal() {
			where = "here"
		}
		var ports, headers []string
		for _, p := range n.GetPorts() {
			ports = append(ports, strings.TrimRight(fmt.Sprintf("%s: %s %s", p.GetName(), p.GetSocket(), p.GetAddress()), " "))
		}
		for _, name := range slices.Sorted(maps.Keys(n.GetHeaders())) {
			headers = append(headers, name+"="+n.GetHeaders()[name])
		}
		t.Rows = append(t.Rows, []Cell{
			of(Number(n.GetId())), of(n.GetName()), of(n.GetEndpoint()), of(where), of(since(n.GetEntered(), now)),
			of(strings.Join(ports, ", ")), of(strings.Join(headers, " ")),
		})
	}
	return t
}

// Routes are a row for each route, in the order in which they are tried.
func Routes(routes []*gatewayv1.RouteStatus) *Table {
	t := &Table{
		Columns: []Column{
			{"NODE", false}, {"NAME", false}, {"FROM", false}, {"PRIORITY", true}, {"TAKEN", true}, {"FLOWS", true}, {"CREDIT", true}, {"TO", false}, {"MATCH", false},
		},
		Empty: "no routes",
	}
	for _, r := range routes {
		route := r.GetRoute()
		priority, credit := "", ""
		if route.GetPriority() != 0 {
			priority = fmt.Sprint(route.GetPriority())
		}
		if route.GetMaxCredit() != 0 {
			credit = fmt.Sprint(route.GetMaxCredit())
		}
		match := route.GetMatch()
		switch {
		case route.GetRules() != "":
			match = "rules: " + strings.Join(strings.Fields(route.GetRules()), " ")
		case match == "":
			match = "(all)"
		}
		t.Rows = append(t.Rows, []Cell{
			of(r.GetNode()), of(route.GetName()), {word(r.GetOrigin().String(), "ROUTE_ORIGIN_"), Dim}, of(priority),
			of(Count(r.GetTaken())), of(Count(r.GetFlows())), of(credit), of(factory(route)), of(match),
		})
	}
	return t
}

// Route is a route in a line: its name, and where it leads.
func Route(r *gatewayv1.Route) string {
	return Printable(r.GetName() + ": " + factory(r))
}

// factory is where a route leads.
func factory(r *gatewayv1.Route) string {
	switch f := r.GetFactory().(type) {
	case *gatewayv1.Route_Builtin:
		return "builtin " + f.Builtin.GetName()
	case *gatewayv1.Route_Listener:
		return "listener " + f.Listener.GetName()
	case *gatewayv1.Route_Exec:
		return "exec " + strings.Join(f.Exec.GetCommand(), " ")
	case *gatewayv1.Route_Connect:
		if f.Connect.GetAddress() != "" {
			return "connect " + f.Connect.GetAddress()
		}
		return "connect " + f.Connect.GetNode() + "/" + f.Connect.GetPort()
	default:
		return described(r)
	}
}

// described is a factory that has no words of its own here: its kind, and what is set of it.
func described(r *gatewayv1.Route) string {
	m := r.ProtoReflect()
	kind := m.WhichOneof(m.Descriptor().Oneofs().ByName("factory"))
	if kind == nil {
		return ""
	}
	words := []string{string(kind.Name())}
	fields := m.Get(kind).Message()
	for i := range fields.Descriptor().Fields().Len() {
		if f := fields.Descriptor().Fields().Get(i); fields.Has(f) {
			words = append(words, fmt.Sprintf("%s=%v", f.Name(), fields.Get(f)))
		}
	}
	return strings.Join(words, " ")
}

// Verdicts are what every route says of a BOT.
func Verdicts(verdicts []*gatewayv1.RouteVerdict) *Table {
	t := &Table{Columns: []Column{{"NODE", false}, {"ROUTE", false}, {"FROM", false}, {"", false}, {"WHY", false}}, Empty: "no routes"}
	for _, v := range verdicts {
		says := Cell{"no", Dim}
		switch {
		case v.GetTakes():
			says = Cell{"takes it", Good}
		case v.GetMatches():
			says = Cell{"would", Odd}
		}
		t.Rows = append(t.Rows, []Cell{of(v.GetNode()), of(v.GetRoute()), {word(v.GetOrigin().String(), "ROUTE_ORIGIN_"), Dim}, says, of(v.GetExplanation())})
	}
	return t
}
