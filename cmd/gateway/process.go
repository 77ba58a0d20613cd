package main

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/zioflow/gateway/server"
)

// gateway is what operators steer.
var _ server.Process = (*gateway)(nil)

var errStopping = errors.New("the gateway is shutting down")

// version is the program's, as the Go command has recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return "devel " + setting.Value
		}
	}
	return "devel"
}

// announce has Status show what start has brought up.
func (g *gateway) announce() {
	g.steering.Lock()
	defer g.steering.Unlock()
	g.started = time.Now()
	g.endpoints = g.listEndpoints()
	if g.node != nil {
		g.online = g.node.Name()
	}
}

// listEndpoints is every bound address with how it is secured.
func (g *gateway) listEndpoints() []server.Endpoint {
	var all []server.Endpoint
	words := g.guard.words()
	add := func(transport string, addresses ...string) {
		word := words[transport]
		if word == "" {
			word = "none"
		}
		for _, address := range chosen(addresses) {
			all = append(all, server.Endpoint{Transport: transport, Address: address, Security: word})
		}
	}
	add("zmq-server", g.bound.ZMQServer...)
	add("zmq-router", g.bound.ZMQRouter...)
	add("grpc", g.bound.GRPC)
	add("http", g.bound.HTTP)
	return all
}

// Status implements server.Process.
func (g *gateway) Status() server.ProcessStatus {
	g.steering.Lock()
	defer g.steering.Unlock()
	return server.ProcessStatus{
		Version: version(), Started: g.started, Configured: g.reloader.configured(),
		Draining: g.draining.Load(), LogLevel: g.level.Level(), Endpoints: g.endpoints,
		Node: g.online,
	}
}

// Drain implements server.Process.
func (g *gateway) Drain() {
	g.steering.Lock()
	defer g.steering.Unlock()
	if !g.draining.Load() {
		g.log.Info("draining: new flows are refused", "flows", g.broker.Live())
	}
	g.refuse()
}

// refuse refuses new flows and has health checks say so. g.steering is held.
func (g *gateway) refuse() (idle <-chan struct{}) {
	g.draining.Store(true)
	if g.grpc != nil {
		g.grpc.Drain()
	}
	return g.broker.Drain()
}

// Undrain implements server.Process.
func (g *gateway) Undrain() error {
	g.steering.Lock()
	defer g.steering.Unlock()
	if g.stopping {
		return errStopping
	}
	if !g.draining.Load() {
		return nil
	}
	g.broker.Undrain()
	if g.grpc != nil {
		g.grpc.Undrain()
	}
	g.draining.Store(false)
	g.log.Info("taking new flows again")
	return nil
}

// SetLogLevel implements server.Process.
func (g *gateway) SetLogLevel(level slog.Level) slog.Level {
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

// Reload implements server.Process.
func (g *gateway) Reload() (server.Reloaded, error) { return g.reloader.reload() }
