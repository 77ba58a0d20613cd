//go:build unix

package zre

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// share has several nodes of this machine have the beacon port: each gets every
// broadcast. Linux needs the first option on all of them, macOS the second.
func share(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	})
	return errors.Join(err, failed)
}
