package front

import (
	"context"

	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/server/admin"
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
	o.Broker, o.Log = h.Broker, h.Log
	node, err := cluster.Open(o)
	if err != nil {
		return nil, err
	}
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

// Reload implements Front: there is nothing that can change but keys, which are read anew by
// themselves.
func (f *clusterFront) Reload(*config.Config) {}

// Close implements Front.
func (f *clusterFront) Close(ctx context.Context) error {
	f.node.Close(ctx)
	return nil
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
