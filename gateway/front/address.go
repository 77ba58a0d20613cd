package front

import (
	"net"
	"strings"
)

// listen binds a HOST:PORT, where * is every interface, or any free port.
func listen(address string) (net.Listener, error) {
	if host, port, err := net.SplitHostPort(address); err == nil {
		if host == "*" {
			host = ""
		}
		if port == "*" {
			port = "0"
		}
		address = net.JoinHostPort(host, port)
	}
	return net.Listen("tcp", address)
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
