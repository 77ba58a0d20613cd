//go:build !windows

package unixsocket

import "syscall"

// refused is the error of connecting to a socket that nobody serves.
const refused = syscall.ECONNREFUSED
