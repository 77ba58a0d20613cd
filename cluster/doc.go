// Package cluster makes several gateways one broker: their nodes find each other over NATS,
// embedded or one that there is, tell each other of their listeners, and carry flows between
// a client at one node and a listener at another over gRPC.
//
// What a node knows of the others is decided by package members, which does no I/O. A
// listener of another node is registered with this node's broker as one of its own whose
// Sink carries the flow there (carry.go); package server has the other end. Both nodes run
// the flow's state machine, and each holds no more of it than its own limits allow.
package cluster
