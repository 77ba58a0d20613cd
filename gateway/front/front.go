// Package front has what serves peers and operators at addresses of its own: ZeroMQ, gRPC
// and HTTP.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/gateway/guard"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/telemetry"
	"github.com/zioflow/gateway/zre/nodes"
)

// Front is what serves peers, or operators, at addresses of its own. Its methods may be
// called concurrently.
type Front interface {
	// Endpoints are the addresses that it has bound, and how they are secured.
	Endpoints() []admin.Endpoint
	// Drain has it tell those who ask that new flows are refused, Undrain that they are
	// not any longer. The broker refuses them; addresses stay bound.
	Drain()
	Undrain()
	// Ready has it tell those who ask whether new peers may come, but for a drain. It is
	// told again and again.
	Ready(ready bool)
	// Reload puts to use what of a valid configuration can change while it serves.
	Reload(next *config.Config)
	// Close ends what is served, once what is queued has gone out, while ctx lasts.
	Close(ctx context.Context) error
}

// Host is what a front serves, and with what.
type Host struct {
	Broker  *broker.Broker
	Log     *slog.Logger
	Metrics *telemetry.Metrics
	Guard   *guard.Guard
	Nodes   *nodes.Table
	Maker   routes.Maker
	// Process is what operators steer.
	Process admin.Process
	// Draining tells whether new flows are refused.
	Draining func() bool
	// Pending is why new peers should not come, in words: what was to be put to use and is
	// not, certificates that are not valid. Empty if they may.
	Pending func() string
	// Soon is what will be a reason, in words; empty if nothing is known.
	Soon func() string
	// Failed takes the error of a server that has ended by itself. Nobody waits for room in
	// it: the first one counts.
	Failed chan<- error
}

// Watch reports a server that ends although nobody has stopped it.
func (h *Host) Watch(name string, serve func() error) {
	if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		select {
		case h.Failed <- fmt.Errorf("%s: %w", name, err):
		default:
		}
	}
}
