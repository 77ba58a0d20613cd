package gateway

import (
	"log/slog"
	"slices"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/telemetry"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zre"
	"github.com/zioflow/gateway/zre/nodes"
)

// openNode goes online with what is bound. It returns nil where nobody wants that, and where
// it is not possible: then the gateway does without.
func openNode(c *config.Config, bound Addresses, found *nodes.Table, m *telemetry.Metrics, log *slog.Logger) *zre.Node {
	if !c.Node.Online() {
		return nil
	}
	o := zre.DefaultOptions(c.Node.Name)
	o.Ports, o.Inbox, o.Table, o.Log = c.Node.Ports(bound.ZMQServer, bound.ZMQRouter), c.Node.Port, found, log
	beyond := false
	for _, address := range slices.Concat(bound.ZMQServer, bound.ZMQRouter) {
		beyond = beyond || !zmqbridge.IsLocal(address)
	}
	o.Loopback = !c.Node.Public && (!c.Security.Insecure.ZMQ || !beyond)
	if o.Loopback && beyond {
		log.Info("other machines are not told of this gateway; --public-node has them be", "node", c.Node.Name)
	}
	node, err := zre.Open(o)
	if err != nil {
		log.Warn("no discovery: nobody finds this gateway by its name, and it finds nobody", "node", c.Node.Name, "error", err)
		return nil
	}
	m.WatchNodes(func() telemetry.NodeStats {
		s := node.Stats()
		return telemetry.NodeStats{
			Nodes: s.Nodes, Connecting: s.Connecting, Sent: s.Sent, Heard: s.Heard, Dropped: s.Dropped, Panics: s.Panics,
		}
	})
	return node
}
