package gateway

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/zioflow/gateway/server/admin"
)

// A Gateway is what operators steer.
var _ admin.Process = (*Gateway)(nil)

var errStopping = errors.New("the gateway is shutting down")

// announce has Status show what New has brought up.
func (g *Gateway) announce() {
	g.steering.Lock()
	defer g.steering.Unlock()
	g.started = time.Now()
	if g.node != nil {
		g.online = g.node.Name()
	}
}

// Status implements admin.Process.
func (g *Gateway) Status() admin.ProcessStatus {
	g.steering.Lock()
	defer g.steering.Unlock()
	return admin.ProcessStatus{
		Version: g.version, Started: g.started, Configured: g.reloader.configured(),
		Draining: g.draining.Load(), LogLevel: g.level.Level(), Endpoints: slices.Clone(g.bound),
		Node: g.online,
	}
}

// Drain implements admin.Process.
func (g *Gateway) Drain() {
	g.steering.Lock()
	defer g.steering.Unlock()
	if !g.draining.Load() {
		g.log.Info("draining: new flows are refused", "flows", g.broker.Live())
	}
	g.refuse()
}

// refuse refuses new flows and has health checks say so. g.steering is held.
func (g *Gateway) refuse() (idle <-chan struct{}) {
	g.draining.Store(true)
	for _, f := range g.fronts {
		f.Drain()
	}
	return g.broker.Drain()
}

// Undrain implements admin.Process.
func (g *Gateway) Undrain() error {
	g.steering.Lock()
	defer g.steering.Unlock()
	if g.stopping {
		return errStopping
	}
	if !g.draining.Load() {
		return nil
	}
	g.broker.Undrain()
	for _, f := range g.fronts {
		f.Undrain()
	}
	g.draining.Store(false)
	g.log.Info("taking new flows again")
	return nil
}

// SetLogLevel implements admin.Process.
func (g *Gateway) SetLogLevel(level slog.Level) slog.Level {
	g.steering.Lock()
	defer g.steering.Unlock()
	previous := g.level.Level()
	told := func() { g.log.Info("log level changed", "from", previous.String(), "to", level.String()) }
	if level > previous { // while it can still be told
		told()
	}
	g.level.Set(level)
	if level < previous {
		told()
	}
	return previous
}

// Reload implements admin.Process.
func (g *Gateway) Reload() (admin.Reloaded, error) { return g.reloader.reload() }
