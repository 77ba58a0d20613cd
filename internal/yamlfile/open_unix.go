//go:build unix

package yamlfile

import "golang.org/x/sys/unix"

const nonBlocking = unix.O_NONBLOCK
