package nodes

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// usable tells whether an address that a node announces is one to connect to from here.
// Loopback, all interfaces and paths are those of the node's own machine.
func usable(address string, local bool) bool {
	if path, ipc := strings.CutPrefix(address, "ipc://"); ipc {
		return local && path != "" && path != "*"
	}
	rest, tcp := strings.CutPrefix(address, "tcp://")
	host, port, err := net.SplitHostPort(rest)
	number, _ := strconv.ParseUint(port, 10, 16)
	if !tcp || err != nil || number == 0 || host == "" || host == "*" || strings.Contains(rest, "/") {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return local || host != "localhost"
	}
	return local || !ip.Unmap().IsLoopback() && !ip.IsUnspecified()
}
