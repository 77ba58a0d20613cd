// Package native is a peer on a libzmq socket, the one that native ZIO programs
// have, for tests and benchmarks. The gateway's own commands do without libzmq.
package native
