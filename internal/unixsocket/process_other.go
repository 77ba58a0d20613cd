//go:build !linux

package unixsocket

import "net"

// processOf is known on Linux alone.
func processOf(*net.UnixConn) int { return 0 }
