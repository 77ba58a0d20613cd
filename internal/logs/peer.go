package logs

import (
	"net"
	"net/netip"

	"github.com/zioflow/gateway/internal/text"
)

// Peer is whose fault a line is, as a Sampler counts it. The zero Peer is nobody in
// particular: all lines of it share what one peer may have.
type Peer struct {
	key   string
	known bool
}

// Of is the peer that has proved to be name; without a name it is a stranger at
// the address, whose port does not count: it is another one for each connection.
// Of an IPv6 address the network counts, since a host has all of it. A name that is
// not proved has no place here: who may choose it has as many as he likes.
func Of(name, address string) Peer {
	if name != "" {
		return Peer{text.Name(name), true}
	}
	return Peer{text.Name(hostOf(address)), false}
}

// hostOf is where an address is, without port and zone.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() || ip.IsLoopback() {
		return ip.String()
	}
	network, _ := ip.Prefix(64) // it is an IPv6 address
	return network.String()
}
