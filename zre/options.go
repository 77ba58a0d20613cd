package zre

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/zioflow/gateway/zre/nodes"
	"github.com/zioflow/gateway/zre/peers"
	"github.com/zioflow/gateway/zre/wire"
)

// Options say what a node is. DefaultOptions has values for all but the name.
type Options struct {
	// Name is what the node calls itself: printable ASCII of up to 255 bytes.
	Name string
	// Ports are what it announces.
	Ports []Bound
	// Loopback keeps it on this machine: nobody else hears of it, or is heard.
	Loopback bool
	// Inbox is the TCP port at which other nodes connect; 0 for any free one.
	Inbox uint16
	// BeaconPort is the UDP port for beacons. All nodes have the same one: others than
	// wire.BeaconPort are for tests.
	BeaconPort uint16
	// Beacon is how often one is sent.
	Beacon time.Duration
	// Peers has the bounds, and the times, of other nodes.
	Peers peers.Options
	// Table is kept up to date; nil for one of the node's own.
	Table *Table
	// Log is where nodes that come and go, and what is dropped, are written, sampled;
	// nil for nowhere.
	Log *slog.Logger
}

// Bound is a port with the addresses at which it is bound.
type Bound struct {
	Name, Socket string
	// Addresses are as the bridge returns them: tcp://IP:PORT, where the IP may be that
	// of all interfaces. Others are not announced.
	Addresses []string
}

// DefaultOptions are those of a node of that name.
func DefaultOptions(name string) Options {
	return Options{Name: name, BeaconPort: wire.BeaconPort, Beacon: time.Second, Peers: peers.DefaultOptions()}
}

// Validate says what others could not read of a node (PEER-3).
func (o *Options) Validate() error {
	if o.Name == "" {
		return fmt.Errorf("a node needs a name")
	}
	headers := map[string]string{}
	for _, p := range o.Ports {
		if p.Name == "" || strings.ContainsAny(p.Name, " \t") {
			return fmt.Errorf("a port's name is %q", p.Name)
		}
		if _, twice := headers[nodes.SocketHeader(p.Name)]; twice {
			return fmt.Errorf("two ports have the name %q", p.Name)
		}
		headers[nodes.AddressHeader(p.Name)] = ""
		headers[nodes.SocketHeader(p.Name)] = p.Socket
	}
	return wire.CheckHello(o.Name, headers)
}
