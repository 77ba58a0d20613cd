package cluster

import (
	"time"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/server/admin"
)

// Status is the cluster as this node sees it now.
func (n *Node) Status() admin.Cluster {
	self, others := n.nodes()
	status := admin.Cluster{
		Name: n.options.Name, Self: shown(self),
		Conn: func(id string) grpc.ClientConnInterface { return n.numbers.conn(members.ID(id)) },
	}
	for _, other := range others {
		status.Nodes = append(status.Nodes, shown(other))
	}
	return status
}

// nodes are this node and those that it knows.
func (n *Node) nodes() (self members.Node, others []members.Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	self = n.machine.Self()
	self.Heard = time.Now()
	return self, n.machine.Nodes()
}

// Stats is how the node is now.
func (n *Node) Stats() Stats {
	self, others := n.nodes()
	c := &n.counts
	s := Stats{
		Cluster: n.options.Name, Self: self, Nodes: others,
		Connected: n.bus.conn.IsConnected(), Routes: -1,
		Joined: c.joined.Load(), Left: map[members.Why]uint64{}, Refused: map[members.Refusal]uint64{},
		TablesRead: c.tablesRead.Load(), TablesFailed: c.tablesFailed.Load(),
		CarriedOut: c.carriedOut.Load(), CarriedIn: c.carriedIn.Load(), Passed: c.passed.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
	}
	if n.bus.server != nil {
		s.Routes = n.bus.server.NumRoutes()
	}
	for why := members.Silent; why <= members.Gone; why++ {
		s.Left[why] = c.left[why].Load()
	}
	for why := members.Stranger; why <= members.Excess; why++ {
		s.Refused[why] = c.refused[why].Load()
	}
	s.In, s.Out = n.options.Broker.Carried()
	return s
}
