// Package clustersim runs the nodes of a large cluster in simulated time: the state machine
// is the gateway's own (cluster/members), the network between them is not. It tells what a
// node hears and says, how long it takes until all know the same, and what that costs.
package clustersim
