package cluster

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/cluster/wire"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/server/contract"
)

// ofBroker is a listener of this node as others are told.
func ofBroker(l listeners.Info) members.Listener {
	return members.Listener{
		ID: l.ID, Name: l.Name, Match: l.Match, MaxFlows: l.MaxFlows, Flows: l.Flows,
		Transport: l.Peer.Transport, Address: l.Peer.Address, Identity: l.Peer.Identity, Holder: l.Peer.Name,
	}
}

// shown is a node as operators see it.
func shown(n members.Node) admin.ClusterNode {
	return admin.ClusterNode{
		ID: string(n.ID), Name: n.Name, Address: n.Address, Version: n.Version, Started: n.Started, Heard: n.Heard,
		Draining: n.Draining, Current: n.Current, Flows: n.Flows, Listeners: n.Listeners,
	}
}

// maxRoute bounds what other nodes are told of a route, in bytes: what AddRoute takes fits, but
// for long commands.
const maxRoute = 96 << 10

// ownRoute is a route that was added here as others are told. Of what is too long only the kind
// of its factory is told: that is for operators to read.
func (h *home) ownRoute(r routing.RouteInfo) (members.Route, error) {
	spec := h.options.Routes.Maker.SpecOf(r.Route)
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
