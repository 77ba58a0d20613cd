package gateway

import (
	"net"
	"net/netip"
	"strings"
)

// isLocal tells whether only this machine can reach a HOST:PORT.
func isLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // the bind will say what is wrong with it
	}
	ip := net.ParseIP(host)
	return host == "localhost" || host == "lo" || ip != nil && ip.IsLoopback()
}

// boundAddress is where a listener can be reached. A link-local address can be only with
// its zone, which not every system tells of a socket that was bound with it.
func boundAddress(l net.Listener, configured string) string {
	bound, isTCP := l.Addr().(*net.TCPAddr)
	host, _, err := net.SplitHostPort(configured)
	_, zone, zoned := strings.Cut(host, "%")
	if !isTCP || err != nil || !zoned || bound.Zone != "" {
		return l.Addr().String()
	}
	return (&net.TCPAddr{IP: bound.IP, Port: bound.Port, Zone: zone}).String()
}

// reachable is a bound HOST:PORT as a peer on this machine would write it: one
// that stands for all interfaces is the loopback's.
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
