// Package gateway composes a flow gateway from a plain configuration, and runs it: the
// broker, the fronts that serve its peers, routes, discovery, access control and metrics.
//
//	c := gateway.DefaultConfig()
//	g, err := gateway.New(c)
//	…
//	err = g.Run(ctx)
//
// The command `gateway serve` is this package with flags, a log and signals; see the
// example for a gateway within another program.
package gateway
