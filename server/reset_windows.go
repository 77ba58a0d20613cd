package server

import "syscall"

// connectionReset is what reading from a connection returns that the peer has reset:
// a number of Winsock's, which package syscall does not take for ECONNRESET.
const connectionReset = syscall.WSAECONNRESET
