package config

import "github.com/zioflow/gateway/zre"

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

// Online tells whether the gateway is to be a node.
func (n *Node) Online() bool { return n.Name != "none" }

// routerSuffix tells the port of DEALERs from that of CLIENTs.
const routerSuffix = "-router"

// Ports are what the node announces, with the addresses that are bound.
func (n *Node) Ports(servers, routers []string) []zre.Bound {
	return []zre.Bound{
		{Name: n.PortName, Socket: "SERVER", Addresses: servers},
		{Name: n.PortName + routerSuffix, Socket: "ROUTER", Addresses: routers},
	}
}
