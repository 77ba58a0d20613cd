package cluster

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/cluster/members"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/admin"
)

func fromBeat(b members.Beat) *gatewayv1.ClusterBeat {
	return &gatewayv1.ClusterBeat{
		NodeId: string(b.ID), Node: b.Name, Protocol: b.Protocol, Started: timestamppb.New(b.Started), Number: b.Number,
		Draining: b.Draining, Leaving: b.Leaving, PeerAddress: b.Address, Version: b.Version, Flows: b.Flows,
	}
}

func toBeat(b *gatewayv1.ClusterBeat) members.Beat {
	return members.Beat{
		ID: members.ID(b.GetNodeId()), Name: text.Name(b.GetNode()), Protocol: b.GetProtocol(), Started: b.GetStarted().AsTime(),
		Number: b.GetNumber(), Draining: b.GetDraining(), Leaving: b.GetLeaving(), Address: b.GetPeerAddress(),
		Version: text.Name(b.GetVersion()), Flows: b.GetFlows(),
	}
}

func fromChange(c members.Change) *gatewayv1.ClusterChange {
	return &gatewayv1.ClusterChange{NodeId: string(c.ID), Number: c.Number, Set: fromListeners(c.Set), Removed: c.Removed}
}

func toChange(c *gatewayv1.ClusterChange) members.Change {
	return members.Change{ID: members.ID(c.GetNodeId()), Number: c.GetNumber(), Set: toListeners(c.GetSet()), Removed: c.GetRemoved()}
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

func toListeners(told []*gatewayv1.ClusterListener) []members.Listener {
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

// ofBroker is a listener of this node as others are told.
func ofBroker(l listeners.Info) members.Listener {
	return members.Listener{
		ID: l.ID, Name: l.Name, Match: l.Match, MaxFlows: l.MaxFlows, Flows: l.Flows,
		Transport: l.Peer.Transport, Address: l.Peer.Address, Identity: l.Peer.Identity, Holder: l.Peer.Name,
	}
}

// maxPart is about how large a part of a table is, in bytes.
const maxPart = 256 << 10

// parts are a table as it is read.
func parts(t members.Table) []*gatewayv1.ReadTableResponse {
	var all []*gatewayv1.ReadTableResponse
	for rest := t.Listeners; len(rest) > 0 || len(all) == 0; {
		size, n := 0, 0
		for ; n < len(rest) && size < maxPart; n++ {
			size += rest[n].Size()
		}
		all = append(all, &gatewayv1.ReadTableResponse{NodeId: string(t.ID), Number: t.Number, Listeners: fromListeners(rest[:n])})
		rest = rest[n:]
	}
	return all
}

// shown is a node as operators see it.
func shown(n members.Node) admin.ClusterNode {
	return admin.ClusterNode{
		ID: string(n.ID), Name: n.Name, Address: n.Address, Version: n.Version, Started: n.Started, Heard: n.Heard,
		Draining: n.Draining, Current: n.Current, Flows: n.Flows, Listeners: n.Listeners,
	}
}
