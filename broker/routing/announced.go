package routing

import "github.com/zioflow/gateway/broker/matching"

// Announced is what stands behind a route that nobody has set: its listeners. Its methods
// may be called concurrently.
type Announced interface {
	// Size is how many there are.
	Size() int
	// Far tells that all of them are at other nodes: then the route comes after those
	// of which that is not so.
	Far() bool
	// Takes tells whether one of those that came after the asked ones takes the request,
	// and shares the turn between two of them.
	Takes(e *Evaluation, asked uint64) (bool, error)
	matching.Explainer
}
