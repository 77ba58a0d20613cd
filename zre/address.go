package zre

import (
	"net/netip"
	"strings"
)

// ownMachine tells whether only the machine that announces an address can reach it.
func ownMachine(address string) bool {
	rest, tcp := strings.CutPrefix(address, "tcp://")
	if !tcp {
		return true
	}
	host := rest[:max(0, strings.LastIndexByte(rest, ':'))]
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return host == "localhost"
	}
	return ip.Unmap().IsLoopback() || ip.IsUnspecified()
}
