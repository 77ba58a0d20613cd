package gateway

import (
	"fmt"
	"slices"

	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/telemetry"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zre"
)

// Node configures how the gateway is found by other nodes, and finds them.
type Node struct {
	// Name is the node's; "none" for no discovery.
	Name string
	// PortName is the port that stands for the first of ZMQ.Servers; that of
	// ZMQ.Routers has the same name with -router.
	PortName string
	// Port is the TCP port at which other nodes connect; 0 for any free one.
	Port uint16
	// Public takes part in discovery beyond loopback, where nobody is asked who he is.
	Public bool
}

// online tells whether the gateway is to be a node.
func (n *Node) online() bool { return n.Name != "none" }

// routerSuffix tells the port of DEALERs from that of CLIENTs.
const routerSuffix = "-router"

// validateNode names the option that makes no sense.
func (c *Config) validateNode() error {
	o := zre.DefaultOptions(c.Node.Name)
	if err := o.Validate(); err != nil {
		return fmt.Errorf("--node: %w", err)
	}
	o.Ports = c.Node.ports(nil, nil)
	if err := o.Validate(); err != nil {
		return fmt.Errorf("--port-name: %w", err)
	}
	return nil
}

// ports are what the node announces, with the addresses that are bound.
func (n *Node) ports(servers, routers []string) []zre.Bound {
	return []zre.Bound{
		{Name: n.PortName, Socket: "SERVER", Addresses: servers},
		{Name: n.PortName + routerSuffix, Socket: "ROUTER", Addresses: routers},
	}
}

// startNode goes online. Where that is not possible, the gateway does without.
func (g *Gateway) startNode(c *Config) error {
	if !c.Node.online() {
		return nil
	}
	bound := g.Addresses()
	o := zre.DefaultOptions(c.Node.Name)
	o.Ports, o.Inbox, o.Table, o.Log = c.Node.ports(bound.ZMQServer, bound.ZMQRouter), c.Node.Port, g.nodes, g.log
	beyond := false
	for _, address := range slices.Concat(bound.ZMQServer, bound.ZMQRouter) {
		beyond = beyond || !zmqbridge.IsLocal(address)
	}
	o.Loopback = !c.Node.Public && (!c.Security.Insecure.ZMQ || !beyond)
	if o.Loopback && beyond {
		g.log.Info("other machines are not told of this gateway; --public-node has them be", "node", c.Node.Name)
	}
	node, err := zre.Open(o)
	if err != nil {
		g.log.Warn("no discovery: nobody finds this gateway by its name, and it finds nobody", "node", c.Node.Name, "error", err)
		return nil
	}
	g.node = node
	g.instruments.metrics.WatchNodes(func() telemetry.NodeStats {
		s := node.Stats()
		return telemetry.NodeStats{
			Nodes: s.Nodes, Connecting: s.Connecting, Sent: s.Sent, Heard: s.Heard, Dropped: s.Dropped, Panics: s.Panics,
		}
	})
	return nil
}

// directory finds nodes by name for routes; nil for a gateway that is no node.
func (g *Gateway) directory(c *Config) connect.Directory {
	if !c.Node.online() {
		return nil
	}
	return g.nodes
}
