// Package loopback tells what only this machine can reach.
package loopback

import "net"

// Host tells whether a host's name or IP address stands for this machine to itself.
func Host(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// HostPort tells the same of a HOST:PORT to listen at, whose host may be the interface lo
// as well. It returns true of what is none: the bind will say what is wrong with it.
func HostPort(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err != nil || host == "lo" || Host(host)
}
