package zmqbridge

import "golang.org/x/sys/unix"

// unsentBytes is what a socket holds that its peer has not acknowledged.
func unsentBytes(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
