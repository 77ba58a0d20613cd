package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/internal/loopback"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/zre/nodes"
)

// Options configure a Node.
type Options struct {
	// Name is the cluster's, Node this node's in it, for people.
	Name, Node string
	// Listen is HOST:PORT at which the NATS servers of other nodes connect; empty with URL.
	Listen string
	// Peer is HOST:PORT at which other nodes reach this one by gRPC. Both hosts are told to
	// the others, so they must be addresses at which those reach it.
	Peer string
	// Join are the Listen addresses of some nodes; none for the first one.
	Join []string
	// Keys are those of the node and its cluster; nil for clear text.
	Keys *KeyRing
	// URL is a NATS to use instead of one of the node's own, and Credentials a file that it
	// asks for; empty for none.
	URL, Credentials string

	// Broker is what the node's flows are in.
	Broker *broker.Broker
	// Process is what operators at other nodes see and steer of the gateway; nil for nothing.
	// Found is what discovery knows of others; nil for none.
	Process admin.Process
	Found   *nodes.Table
	// Routes are those that operators at other nodes may add here, and how the words of added
	// ones are read and told.
	Routes admin.RouteOptions
	// Version is the program's.
	Version string
	// Stall is as in server.Options.
	Stall time.Duration
	// Log takes what becomes of the cluster; nil for none.
	Log *slog.Logger

	// members are the state machine's, which tests change.
	members members.Options
}

// subjectName is what can be part of a NATS subject.
var subjectName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// maxNode bounds a node's name, in bytes.
const maxNode = 128

// Validate names the first option that makes no sense. It looks nothing up.
func (o *Options) Validate() error {
	switch {
	case !subjectName.MatchString(o.Name):
		return fmt.Errorf("--cluster: %q is no name for a cluster: want up to 64 letters, digits, - and _", o.Name)
	case o.Node == "" || len(o.Node) > maxNode:
		return fmt.Errorf("--cluster-node: has %d bytes, want 1 to %d", len(o.Node), maxNode)
	case o.Peer == "":
		return errors.New("--cluster-peer: is missing: HOST:PORT at which other nodes reach this one by gRPC")
	case o.URL == "" && o.Listen == "":
		return errors.New("--cluster-listen: is missing: HOST:PORT at which other nodes connect; or --cluster-nats names a NATS that there is")
	case o.URL != "" && (o.Listen != "" || len(o.Join) > 0):
		return errors.New("--cluster-nats: the NATS that it names does what --cluster-listen and --cluster-join are for")
	case o.Credentials != "" && o.URL == "":
		return errors.New("--cluster-nats-creds: needs --cluster-nats")
	}
	for _, a := range []struct{ option, address string }{{"--cluster-listen", o.Listen}, {"--cluster-peer", o.Peer}} {
		if err := checkOwn(a.address); a.address != "" && err != nil {
			return fmt.Errorf("%s: %s: %w", a.option, a.address, err)
		}
	}
	for _, address := range o.Join {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("--cluster-join: %w", err)
		}
		if o.Listen != "" && loopback.HostPort(o.Listen) && !loopback.HostPort(address) {
			return fmt.Errorf("--cluster-listen: nobody at %s reaches %s", address, o.Listen)
		}
	}
	return nil
}

// checkOwn says what is wrong with an address that others are told.
func checkOwn(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(host); host == "" || host == "*" || err == nil && ip.IsUnspecified() {
		return errors.New("other nodes are told this address: want one at which they reach this machine, not all of its own")
	}
	return nil
}
