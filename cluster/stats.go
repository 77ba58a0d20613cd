package cluster

import (
	"github.com/zioflow/gateway/cluster/members"
)

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
