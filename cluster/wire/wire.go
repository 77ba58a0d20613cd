// Package wire is what nodes say to each other, as messages of the contract.
package wire

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zioflow/gateway/cluster/members"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
)

// FromBeat is a beat as it is sent.
func FromBeat(b members.Beat) *gatewayv1.ClusterBeat {
	return &gatewayv1.ClusterBeat{
		NodeId: string(b.ID), Node: b.Name, Protocol: b.Protocol, Started: timestamppb.New(b.Started), Number: b.Number,
		Draining: b.Draining, Leaving: b.Leaving, PeerAddress: b.Address, Version: b.Version, Flows: b.Flows,
	}
}

// ToBeat is a beat that has come: its texts are cut to what a name may be.
func ToBeat(b *gatewayv1.ClusterBeat) members.Beat {
	return members.Beat{
		ID: members.ID(b.GetNodeId()), Name: text.Name(b.GetNode()), Protocol: b.GetProtocol(), Started: b.GetStarted().AsTime(),
		Number: b.GetNumber(), Draining: b.GetDraining(), Leaving: b.GetLeaving(), Address: b.GetPeerAddress(),
		Version: text.Name(b.GetVersion()), Flows: b.GetFlows(),
	}
}

// FromChange is a change as it is sent.
func FromChange(c members.Change) *gatewayv1.ClusterChange {
	told := &gatewayv1.ClusterChange{
		NodeId: string(c.ID), Number: c.Number, Set: fromListeners(c.Set), Removed: c.Removed,
		SetRoutes: fromRoutes(c.SetRoutes), RemovedRoutes: c.RemovedRoutes,
	}
	for _, b := range c.Busy {
		told.Loads = append(told.Loads, &gatewayv1.ClusterLoad{Id: b.ID, Flows: uint32(b.Flows)})
	}
	return told
}

// ToChange is a change that has come.
func ToChange(c *gatewayv1.ClusterChange) members.Change {
	change := members.Change{ID: members.ID(c.GetNodeId()), Number: c.GetNumber(), Entries: members.Entries{
		Set: ToListeners(c.GetSet()), Removed: c.GetRemoved(), SetRoutes: ToRoutes(c.GetSetRoutes()), RemovedRoutes: c.GetRemovedRoutes(),
	}}
	for _, b := range c.GetLoads() {
		change.Busy = append(change.Busy, members.Busy{ID: b.GetId(), Flows: int(b.GetFlows())})
	}
	return change
}

// NewRoute is a route as it is told of; an error if it is no message.
func NewRoute(id uint64, route *gatewayv1.Route) (members.Route, error) {
	body, err := proto.Marshal(route)
	return members.Route{ID: id, Body: string(body)}, err
}

// RouteOf is what a route says.
func RouteOf(r members.Route) (*gatewayv1.Route, error) {
	route := new(gatewayv1.Route)
	return route, proto.Unmarshal([]byte(r.Body), route)
}

func fromRoutes(all []members.Route) []*gatewayv1.ClusterRoute {
	told := make([]*gatewayv1.ClusterRoute, 0, len(all))
	for _, r := range all {
		if route, err := RouteOf(r); err == nil { // as NewRoute has made it
			told = append(told, &gatewayv1.ClusterRoute{Id: r.ID, Route: route})
		}
	}
	return told
}

// ToRoutes are routes that have come.
func ToRoutes(told []*gatewayv1.ClusterRoute) []members.Route {
	var all []members.Route
	for _, r := range told {
		if route, err := NewRoute(r.GetId(), r.GetRoute()); err == nil { // it was a message
			all = append(all, route)
		}
	}
	return all
}

func fromListeners(all []members.Listener) []*gatewayv1.ClusterListener {
	told := make([]*gatewayv1.ClusterListener, len(all))
	for i, l := range all {
		told[i] = &gatewayv1.ClusterListener{
			Id: l.ID, Name: l.Name, Match: l.Match, MaxFlows: uint32(l.MaxFlows), Flows: uint32(l.Flows),
			Peer: &gatewayv1.Peer{Transport: l.Transport, Address: l.Address, Identity: l.Identity, Name: l.Holder},
		}
	}
	return told
}

// ToListeners are listeners that have come.
func ToListeners(told []*gatewayv1.ClusterListener) []members.Listener {
	all := make([]members.Listener, len(told))
	for i, l := range told {
		p := l.GetPeer()
		all[i] = members.Listener{
			ID: l.GetId(), Name: l.GetName(), Match: l.GetMatch(), MaxFlows: int(l.GetMaxFlows()), Flows: int(l.GetFlows()),
			Transport: p.GetTransport(), Address: p.GetAddress(), Identity: p.GetIdentity(), Holder: p.GetName(),
		}
	}
	return all
}

// maxPart is about how large a part of a table is, in bytes.
const maxPart = 256 << 10

// FromTable is a table in the parts in which it is read: one at the least.
func FromTable(t members.Table) []*gatewayv1.ReadTableResponse {
	var all []*gatewayv1.ReadTableResponse
	for rest := (members.Entries{Set: t.Listeners, SetRoutes: t.Routes}); rest.Len() > 0 || len(all) == 0; {
		part := rest.Cut(maxPart)
		all = append(all, &gatewayv1.ReadTableResponse{
			NodeId: string(t.ID), Number: t.Number, Listeners: fromListeners(part.Set), Routes: fromRoutes(part.SetRoutes),
		})
	}
	return all
}
