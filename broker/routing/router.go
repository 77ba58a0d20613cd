package routing

import (
	"context"
	"log/slog"
	"time"

	"github.com/zioflow/gateway/broker/timeshare"
)

// Router finds handlers for flows. Its fields are set before it is used.
type Router struct {
	Table     Table
	Offers    Offers
	Scheduler *timeshare.Scheduler // of the time that matches take
	Log       *slog.Logger
}

// NewRequest is a request for a flow that waits that long for a route that takes it, or
// for a listener; 0 for not at all.
func (r *Router) NewRequest(f Flow, wait time.Duration) *Request {
	request := &Request{router: r, flow: f, wait: wait}
	request.pending, request.settle = context.WithCancelCause(context.Background())
	return request
}
