package cluster

import (
	"net"
	"sync/atomic"

	"github.com/zioflow/gateway/cluster/members"
)

// counts are what has become of the node so far. They may be used concurrently.
type counts struct {
	joined, tablesRead, tablesFailed, carriedOut, carriedIn, passed, bytesIn, bytesOut atomic.Uint64

	left    [members.Gone + 1]atomic.Uint64   // by Why
	refused [members.Excess + 1]atomic.Uint64 // by Refusal
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
	// Left counts those that are there no more, by members.Why, Refused warnings, by
	// members.Refusal.
	Left    map[members.Why]uint64
	Refused map[members.Refusal]uint64
	// TablesRead and TablesFailed count attempts to read another node's listeners and routes whole.
	TablesRead, TablesFailed uint64
	// CarriedOut counts flows that were carried to other nodes, CarriedIn those that others
	// have asked to carry here, Passed offers that another node has not taken.
	CarriedOut, CarriedIn, Passed uint64
	// BytesIn and BytesOut have gone over the connections for flows, encrypted as they are.
	BytesIn, BytesOut uint64
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
