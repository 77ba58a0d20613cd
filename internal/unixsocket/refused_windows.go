package unixsocket

import "golang.org/x/sys/windows"

// refused is the error of connecting to a socket that nobody serves.
const refused = windows.WSAECONNREFUSED
