// Package zmtp is ZMTP 3.1, ZeroMQ's wire protocol, without I/O: bytes of the
// peer go in, bytes for the peer come out. It opens no connection, starts no
// goroutine and reads no clock; deadlines, heartbeats and queues belong to its
// user.
//
// A connection's life has two parts. A [Handshake] takes it from the greeting
// to READY, under NULL or CURVE. From then on traffic is frames: [ParseHeader]
// and [AppendHeader], and under CURVE a [Session] that opens and seals them.
//
// Everything that a peer can make this package hold is bounded: a handshake
// takes at most MaxHandshake bytes, of which no command has more than
// MaxHandshakeCommand, and memory is taken as bytes arrive, not as a length
// announces them. What a peer says about itself is cut and quoted before it
// stands in an error.
//
// RFC numbers in comments are those of rfc.zeromq.org.
package zmtp
