// Package wire is ZRE's wire form (RFC 36, version 2): the beacon that is broadcast, and
// the messages between nodes. It does no I/O.
//
// What is parsed is bounded before anything is allocated for it: see the constants. What
// is kept of it is valid UTF-8.
package wire
