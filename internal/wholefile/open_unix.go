//go:build unix

package wholefile

import "golang.org/x/sys/unix"

const nonBlocking = unix.O_NONBLOCK
