package config

import (
	"errors"
	"os"

	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/internal/loopback"
)

// Cluster configures the gateway as a node of a cluster.
type Cluster struct {
	// Name is the cluster's; empty for none, and then nothing of it is started.
	Name string
	// Node is this node's name; empty for that of the host.
	Node string
	// Listen is HOST:PORT for the NATS servers of other nodes, Peer for gRPC between nodes:
	// addresses at which those reach this machine. Join are the Listen addresses of some of
	// them.
	Listen, Peer string
	Join         []string
	// Keys is a folder with the node's certificate (`gateway keygen cluster`); empty for
	// clear text, which Security.Insecure has to name.
	Keys string
	// URL is a NATS to use in the place of Listen and Join, Credentials a file for it.
	URL, Credentials string
}

// options are those that are set, by name.
func (n *Cluster) options() map[string]bool {
	return map[string]bool{
		"--cluster-node": n.Node != "", "--cluster-listen": n.Listen != "", "--cluster-peer": n.Peer != "",
		"--cluster-keys": n.Keys != "", "--cluster-nats": n.URL != "", "--cluster-nats-creds": n.Credentials != "",
		"--cluster-join": len(Chosen(n.Join...)) > 0,
	}
}

// ClusterOptions are what the node is made with, besides what a gateway has.
func (c *Config) ClusterOptions() (cluster.Options, error) {
	n := &c.Cluster
	o := cluster.Options{
		Name: n.Name, Node: n.Node, Listen: n.Listen, Peer: n.Peer, Join: Chosen(n.Join...),
		URL: n.URL, Credentials: n.Credentials, Version: c.Version, Stall: c.StallTimeout,
	}
	if o.Node == "" {
		host, err := os.Hostname()
		if err != nil {
			return o, errors.New("--cluster-node: is missing, and the host has no name")
		}
		o.Node = host
	}
	return o, nil
}

// validateCluster names the option that makes no sense, or is not safe.
func (c *Config) validateCluster() error {
	if c.Cluster.Name == "" {
		for option, set := range c.Cluster.options() {
			if set {
				return errors.New(option + ": needs --cluster, the name of the cluster")
			}
		}
		return nil
	}
	o, err := c.ClusterOptions()
	if err == nil {
		err = o.Validate()
	}
	if err == nil && c.Cluster.Keys == "" && !c.Security.Insecure.Cluster {
		err = errors.New("--cluster-keys: is missing: whoever reaches the addresses of the cluster would be a node of it, " +
			"and read every flow; gateway keygen cluster makes keys, --insecure cluster does without")
	}
	return err
}

// How nodes of a cluster reach each other.
var (
	natsRoutes = Transport{
		Name: ClusterTransport, Front: "cluster", option: "--cluster-listen", Local: loopback.HostPort,
		Configured: func(c *Config) []string { return Chosen(c.Cluster.Listen) },
		encrypted:  hasClusterKeys, asks: hasClusterKeys, security: clusterWord, want: wantClusterKeys,
	}
	nodePeers = Transport{
		Name: PeerTransport, Front: "cluster", option: "--cluster-peer", Local: loopback.HostPort,
		Configured: func(c *Config) []string { return Chosen(c.Cluster.Peer) },
		encrypted:  hasClusterKeys, asks: hasClusterKeys, security: clusterWord, want: wantClusterKeys,
	}
)

const wantClusterKeys = "--cluster-keys secures it"

func hasClusterKeys(c *Config) bool { return c.Cluster.Keys != "" }

func clusterWord(c *Config) string {
	if hasClusterKeys(c) {
		return "mtls"
	}
	return "none"
}
