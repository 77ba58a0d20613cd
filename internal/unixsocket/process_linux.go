package unixsocket

import (
	"net"

	"golang.org/x/sys/unix"
)

// processOf is the process that has connected; 0 if it cannot be seen from here.
func processOf(c *net.UnixConn) (process int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { // a connection that is closed meanwhile tells nothing
		if who, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			process = int(who.Pid)
		}
	})
	return process
}
