package front

import (
	"context"
	"strings"
	"time"

	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/telemetry"
)

// clusterFront serves the other nodes of a cluster.
type clusterFront struct {
	node      *cluster.Node
	endpoints []admin.Endpoint
}

// openCluster joins the cluster.
func openCluster(h *Host, c *config.Config) (Front, error) {
	if c.Cluster.Name == "" {
		return nil, nil
	}
	o, err := c.ClusterOptions()
	if err != nil {
		return nil, err
	}
	o.Broker, o.Process, o.Found, o.Log, o.Keys = h.Broker, h.Process, h.Nodes, h.Log, h.Guard.Cluster
	o.Routes = admin.RouteOptions{Maker: h.Maker, AllowExec: c.Routing.AllowExec}
	node, err := cluster.Open(o)
	if err != nil {
		return nil, err
	}
	h.Metrics.WatchCluster(func() telemetry.ClusterStats { return clusterStats(node.Stats()) })
	return &clusterFront{node, append(
		config.TransportOf(config.ClusterTransport).Endpoints(c, config.Chosen(node.RouteAddress())...),
		config.TransportOf(config.PeerTransport).Endpoints(c, node.PeerAddress())...,
	)}, nil
}

// Endpoints implements Front.
func (f *clusterFront) Endpoints() []admin.Endpoint { return f.endpoints }

// Drain implements Front: other nodes offer nothing more to listeners here.
func (f *clusterFront) Drain() { f.node.Drain(true) }

// Undrain implements Front.
func (f *clusterFront) Undrain() { f.node.Drain(false) }

// Ready implements Front: other nodes are peers that are here already.
func (f *clusterFront) Ready(bool) {}

// Reload implements Front: there is nothing that can change but keys, which the guard puts
// in force.
func (f *clusterFront) Reload(*config.Config) {}

// Close implements Front.
func (f *clusterFront) Close(ctx context.Context) error {
	f.node.Close(ctx)
	return nil
}

// clusterStats are a node's as metrics show them: of nodes that have one name, the sum, and
// the worst.
func clusterStats(s cluster.Stats) telemetry.ClusterStats {
	now, byName := time.Now(), map[string]*telemetry.ClusterNode{}
	for i, n := range append([]members.Node{s.Self}, s.Nodes...) {
		name := strings.ToValidUTF8(n.Name, "?")
		shown := byName[name]
		if shown == nil {
			shown = &telemetry.ClusterNode{Name: name, In: s.In[n.Name], Out: s.Out[n.Name]}
			byName[name] = shown
		}
		shown.Draining = shown.Draining || n.Draining
		shown.Behind = shown.Behind || !n.Current
		shown.Listeners += n.Listeners
		shown.Routes += n.Routes
		if i > 0 {
			shown.Silent = max(shown.Silent, now.Sub(n.Heard).Seconds())
		}
	}
	told := telemetry.ClusterStats{
		Cluster: s.Cluster, Node: strings.ToValidUTF8(s.Self.Name, "?"), Connected: s.Connected, Routes: s.Routes,
		Joined: s.Joined, Left: map[string]uint64{}, Refused: map[string]uint64{}, TablesRead: s.TablesRead, TablesFailed: s.TablesFailed,
		CarriedOut: s.CarriedOut, CarriedIn: s.CarriedIn, Passed: s.Passed, BytesIn: s.BytesIn, BytesOut: s.BytesOut,
	}
	for _, n := range byName {
		told.Nodes = append(told.Nodes, *n)
	}
	for why, n := range s.Left {
		told.Left[why.String()] = n
	}
	for cause, n := range s.Refused {
		told.Refused[cause.String()] = n
	}
	return told
}

// Cluster is the cluster as its node sees it now; nil without one.
func (s *Set) Cluster() *admin.Cluster {
	for _, f := range s.all() {
		if c, is := f.Front.(*clusterFront); is {
			status := c.node.Status()
			return &status
		}
	}
	return nil
}
