// Package zre finds other nodes on the network and is found by them: ZRE (RFC 36,
// version 2), as ZIO's nodes speak it, on the project's own ZMTP.
//
// A [Node] says that it is there by beacons (UDP broadcasts, on each interface), has an
// inbox (ROUTER) and a connection outwards (DEALER) to each node that it hears of, and
// keeps a [Table] of those that have said who they are. Programs look names up in the
// table and follow it: see package nodes.
//
// The rules are a state machine without I/O, in package peers; the wire form is in
// package wire; here are the sockets and the clock.
package zre
