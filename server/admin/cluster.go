package admin

import (
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/cluster/members"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Cluster is a cluster as one of its nodes sees it.
type Cluster struct {
	Name string
	// Self is the node that tells; Nodes are the others.
	Self  members.Node
	Nodes []members.Node
	// Conn is a connection to another node; nil if there is none.
	Conn func(members.ID) grpc.ClientConnInterface
}

// clusterOf is a cluster in the contract's words; nil for none.
func clusterOf(c *Cluster) *gatewayv1.ClusterStatus {
	if c == nil {
		return nil
	}
	told := &gatewayv1.ClusterStatus{Name: c.Name}
	add := func(n members.Node, self bool) {
		told.Nodes = append(told.Nodes, &gatewayv1.ClusterNode{
			Name: n.Name, Id: string(n.ID), Address: n.Address, Version: n.Version, Started: timeOf(n.Started),
			Draining: n.Draining, Flows: n.Flows, Listeners: uint64(n.Listeners), Self: self, Current: n.Current, Heard: timeOf(n.Heard),
		})
	}
	add(c.Self, true)
	for _, n := range c.Nodes {
		add(n, false)
	}
	slices.SortStableFunc(told.Nodes, func(a, b *gatewayv1.ClusterNode) int { return strings.Compare(a.GetName(), b.GetName()) })
	return told
}
