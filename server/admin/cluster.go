package admin

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Cluster is a cluster as one of its nodes sees it.
type Cluster struct {
	Name string
	// Self is the node that tells; Nodes are the others.
	Self  ClusterNode
	Nodes []ClusterNode
	// Conn is a connection to another node, by its ID; nil if there is none.
	Conn func(id string) grpc.ClientConnInterface
}

// ClusterNode is a node of a cluster, as another one knows it.
type ClusterNode struct {
	// ID is its own, from its start to its end. Name is as people know it, Address where others
	// reach it, Version its program's.
	ID, Name, Address, Version string
	// Started is by its own clock, Heard by that of the node that tells.
	Started, Heard time.Time
	// Draining: it refuses new flows. Current: all that it has said of its listeners and routes has come.
	Draining, Current bool
	// Flows and Listeners are how many it has.
	Flows     uint64
	Listeners int
}

// clusterOf is a cluster in the contract's words; nil for none.
func clusterOf(c *Cluster) *gatewayv1.ClusterStatus {
	if c == nil {
		return nil
	}
	told := &gatewayv1.ClusterStatus{Name: c.Name}
	add := func(n ClusterNode, self bool) {
		told.Nodes = append(told.Nodes, &gatewayv1.ClusterNode{
			Name: n.Name, Id: n.ID, Address: n.Address, Version: n.Version, Started: timeOf(n.Started),
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
