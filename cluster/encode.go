package cluster

import (
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/server/admin"
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
