package main

import (
	"fmt"

	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/telemetry"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zre"
)

// nodeFlags say how the gateway is found by other nodes, and finds them.
type nodeFlags struct {
	Node       string `default:"zio-gateway" help:"Be found by other ZIO nodes under this name, and find them (ZRE). \"none\" for no discovery." placeholder:"NAME"`
	PortName   string `default:"flow" help:"The port of the node that stands for the --zmq-server address; the --zmq-router address has the same name with -router." placeholder:"NAME"`
	NodePort   uint16 `default:"0" help:"TCP port at which other nodes connect; 0 for any free one." placeholder:"PORT"`
	PublicNode bool   `help:"Take part in discovery beyond loopback, where nobody is asked who he is. --insecure does so too, if there is a ZeroMQ address beyond loopback."`
}

// routerSuffix tells the port of DEALERs from that of CLIENTs.
const routerSuffix = "-router"

// validateNode names the option that makes no sense.
func (c *serveCommand) validateNode() error {
	o := zre.DefaultOptions(c.Node)
	if err := o.Validate(); err != nil {
		return fmt.Errorf("--node: %w", err)
	}
	o.Ports = c.ports(nil, nil)
	if err := o.Validate(); err != nil {
		return fmt.Errorf("--port-name: %w", err)
	}
	return nil
}

// ports are what the node announces, with the addresses that are bound.
func (c *serveCommand) ports(servers, routers []string) []zre.Bound {
	return []zre.Bound{
		{Name: c.PortName, Socket: "SERVER", Addresses: servers},
		{Name: c.PortName + routerSuffix, Socket: "ROUTER", Addresses: routers},
	}
}

// startNode goes online. Where that is not possible, the gateway does without.
func (g *gateway) startNode(c *serveCommand) error {
	if c.Node == "none" {
		return nil
	}
	o := zre.DefaultOptions(c.Node)
	o.Ports, o.Inbox, o.Table, o.Log = c.ports(g.bound.ZMQServer, g.bound.ZMQRouter), c.NodePort, g.nodes, g.log
	beyond := false
	for _, address := range append(g.bound.ZMQServer, g.bound.ZMQRouter...) {
		beyond = beyond || !zmqbridge.IsLocal(address)
	}
	o.Loopback = !c.PublicNode && (!c.Insecure.zmq || !beyond)
	if o.Loopback && beyond {
		g.log.Info("other machines are not told of this gateway; --public-node has them be", "node", c.Node)
	}
	node, err := zre.Open(o)
	if err != nil {
		g.log.Warn("no discovery: nobody finds this gateway by its name, and it finds nobody", "node", c.Node, "error", err)
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
func (g *gateway) directory(c *serveCommand) connect.Directory {
	if c.Node == "none" {
		return nil
	}
	return g.nodes
}
