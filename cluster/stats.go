package cluster

import (
	"net"
	"sync/atomic"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/cluster/members"
)

// counts are what has become of the node so far. They may be used concurrently.
type counts struct {
	joined, tablesRead, tablesFailed, carriedOut, carriedIn, passed, bytesIn, bytesOut atomic.Uint64

	left    [members.Gone + 1]atomic.Uint64     // by Why
	refused [members.Namesake + 1]atomic.Uint64 // by Refusal
}

// Stats is how the node is, and what has become of it so far. Its counts never fall.
type Stats struct {
	// Cluster and Self are the cluster's name and this node; Nodes are the others.
	Cluster string
	Self    members.Node
	Nodes   []members.Node
	// Connected tells that there is a connection to NATS, Routes how many the node's own
	// NATS server has to others'; -1 without one.
	Connected bool
	Routes    int
	// In and Out are flows that are carried now from other nodes and to them, by their names.
	In, Out map[string]int

	// Joined counts nodes that were taken in.
	Joined uint64
	// Left counts those that are there no more, by members.Why, Refused warnings by
	// members.Refusal.
	Left    map[members.Why]uint64
	Refused map[members.Refusal]uint64
	// TablesRead and TablesFailed count attempts to read another node's listeners whole.
	TablesRead, TablesFailed uint64
	// CarriedOut counts flows that were carried to other nodes, CarriedIn those that others
	// have asked to carry here, Passed offers that another node has not taken.
	CarriedOut, CarriedIn, Passed uint64
	// BytesIn and BytesOut have gone over the connections for flows, encrypted as they are.
	BytesIn, BytesOut uint64
}

// Stats looks at every live flow once.
func (n *Node) Stats() Stats {
	status := n.Status()
	c := &n.counts
	s := Stats{
		Cluster: status.Name, Self: status.Self, Nodes: status.Nodes,
		Connected: n.bus.conn.IsConnected(), Routes: -1, In: map[string]int{}, Out: map[string]int{},
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
	for why := members.Stranger; why <= members.Namesake; why++ {
		s.Refused[why] = c.refused[why].Load()
	}
	for f := range n.options.Broker.FlowsBefore(transport.FlowID(^uint64(0))) {
		info := f.Info()
		if info.Phase == flow.Ended {
			continue
		}
		if at := info.Client.Node; at != "" {
			s.In[at]++
		}
		if at := info.Handler.Node; at != "" {
			s.Out[at]++
		}
	}
	return s
}

// countedListener counts the bytes of connections that it accepts.
type countedListener struct {
	net.Listener
	counts *counts
}

// Accept implements net.Listener.
func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &notedConn{conn, nil, l.counts}, nil
}

// notedConn counts bytes, and takes note of when they come.
type notedConn struct {
	net.Conn
	came   *came // nil if it does not matter
	counts *counts
}

// Read implements net.Conn.
func (c *notedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.counts.bytesIn.Add(uint64(n))
		if c.came != nil {
			c.came.note()
		}
	}
	return n, err
}

// Write implements net.Conn.
func (c *notedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.counts.bytesOut.Add(uint64(max(0, n)))
	return n, err
}
