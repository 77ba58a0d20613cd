package gateway

import (
	"net"
	"net/netip"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/server/admin"
)

// Addresses are what a gateway has bound, as the ready file has them.
type Addresses struct {
	ZMQServer []string `json:"zmq_server"`
	ZMQRouter []string `json:"zmq_router"`
	// GRPC and HTTP are the first of GRPCAddresses and HTTPAddresses, for who needs one.
	// All are HOST:PORT or unix:PATH, as gRPC's clients take them.
	GRPC          string   `json:"grpc"`
	GRPCAddresses []string `json:"grpc_addresses,omitempty"`
	HTTP          string   `json:"http"`
	HTTPAddresses []string `json:"http_addresses,omitempty"`
	// Cluster and ClusterPeer are for other nodes; empty for a gateway that is none.
	Cluster     string `json:"cluster,omitempty"`
	ClusterPeer string `json:"cluster_peer,omitempty"`
}

// addressesOf sorts endpoints by transport.
func addressesOf(endpoints []admin.Endpoint) (a Addresses) {
	for _, e := range endpoints {
		switch e.Transport {
		case config.ServerTransport:
			a.ZMQServer = append(a.ZMQServer, e.Address)
		case config.RouterTransport:
			a.ZMQRouter = append(a.ZMQRouter, e.Address)
		case config.GRPCTransport:
			a.GRPCAddresses = append(a.GRPCAddresses, e.Address)
		case config.HTTPTransport:
			a.HTTPAddresses = append(a.HTTPAddresses, e.Address)
		case config.ClusterTransport:
			a.Cluster = e.Address
		case config.PeerTransport:
			a.ClusterPeer = e.Address
		}
	}
	a.GRPC, a.HTTP = first(a.GRPCAddresses), first(a.HTTPAddresses)
	return a
}

// first is the first of the addresses; empty if there is none.
func first(addresses []string) string {
	if len(addresses) == 0 {
		return ""
	}
	return addresses[0]
}

// reachable is a bound HOST:PORT as a peer on this machine would write it: one
// that stands for all interfaces is the loopback's. Any other address stays as it is.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil || !ip.IsUnspecified():
		return address
	case ip.Is4():
		host = "127.0.0.1"
	default:
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
