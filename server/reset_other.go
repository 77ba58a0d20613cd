//go:build !windows

package server

import "syscall"

// connectionReset is what reading from a connection returns that the peer has reset.
const connectionReset = syscall.ECONNRESET
