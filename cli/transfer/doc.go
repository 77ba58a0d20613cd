// Package transfer has the commands that move data through a running gateway: put, get,
// tail and bench. They are structs for kong; each is run once.
//
// A flow is reached over gRPC or over ZeroMQ, as a client or as the handler of an offer;
// what is given comes from a source, and what is taken goes into a sink. SIGINT and SIGTERM
// end the flow in good order, a second one the process.
//
// What other peers have sent is not trusted: it is made printable before it is shown, and
// no name of theirs leads out of the folder that get was given.
package transfer
