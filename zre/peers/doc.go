// Package peers decides what a ZRE node does about other nodes (RFC 36): events go in,
// effects come out. It opens no sockets, starts no goroutines and reads no clock.
//
// A peer is known by its UUID. There are two connections: one outwards (DEALER) that
// this node makes to the peer's inbox, and one that comes in from the peer. A peer enters
// when both stand and it has said HELLO, and leaves as soon as the one outwards closes,
// when the one that comes in is closed for Options.Grace, when it says so by a beacon, or
// when it has been silent for Options.Expire.
//
// Beacons prove nothing: whoever is on the network can send them, in anybody's name. So
// they only have this node connect, so many times at once and a second, and a peer that
// is connected is not touched by a beacon from elsewhere. Everything that is held for
// others is bounded by Options.
package peers
