package zre

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// share has several nodes of this machine have the beacon port: each gets every
// broadcast.
func share(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR, 1)
	})
	return errors.Join(err, failed)
}
