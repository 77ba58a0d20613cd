package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zre"
	"github.com/zioflow/gateway/zre/nodes"
)

// gateway is a running gateway: the broker with all its fronts.
type gateway struct {
	log       *slog.Logger
	broker    *broker.Broker
	builtin   *builtin.Handlers
	spawner   *spawn.Spawner
	connector *connect.Connector
	bridge    zmqbridge.Bridge // nil without ZeroMQ addresses
	nodes     *nodes.Table
	node      *zre.Node      // nil without discovery
	grpc      *server.Server // nil without an address
	http      *http.Server   // likewise
	guard     *security
	bound     addresses
	level     *slog.LevelVar
	reloader  *reloader
	reloads   *reloads
	// instruments measure all of it.
	instruments instruments
	failed      chan error // takes the error of a server that ended by itself

	draining  atomic.Bool       // changed with steering held
	steering  sync.Mutex        // so that one operator at a time steers
	stopping  bool              // guarded by steering; for good
	started   time.Time         // guarded by steering
	endpoints []server.Endpoint // guarded by steering; replaced whole
	online    string            // guarded by steering; the node's name
}

// addresses is what the gateway has bound, as the ready file has it.
type addresses struct {
	ZMQServer []string `json:"zmq_server"`
	ZMQRouter []string `json:"zmq_router"`
	GRPC      string   `json:"grpc"`
	HTTP      string   `json:"http"`
}

// start brings everything up, the broker first. What is up when something fails
// is taken down again.
func start(c *serveCommand, log *slog.Logger) (*gateway, error) {
	measure, log, err := instrument(&c.telemetryFlags, log)
	if err != nil {
		return nil, err
	}
	notes := newReloads(log, measure.metrics.Reloaded)
	guard, err := c.openSecurity(log, measure.metrics, notes)
	if err != nil {
		measure.close(context.Background(), log)
		return nil, err
	}
	limits := c.limits(log)
	limits.Observers = measure.observers()
	if guard.policy != nil {
		limits.Denied = guard.policy.Refused
	}
	b, err := broker.New(limits)
	if err != nil {
		guard.close()
		measure.close(context.Background(), log)
		return nil, err
	}
	measure.metrics.Watch(b)
	measure.metrics.WatchLog(c.log.Dropped)
	g := &gateway{
		log: log, broker: b, builtin: builtin.New(b, log), level: &c.level, instruments: measure, guard: guard,
		reloads: notes, nodes: nodes.NewTable(), failed: make(chan error, 2),
	}
	g.reloader = newReloader(c, notes, g.reloadLimits(c), g.reloadLog, g.reloadRates, g.reloadRoutes, guard.prepare)
	for _, bring := range []func(*serveCommand) error{g.startRoutes, g.startZMQ, g.startGRPC, g.startHTTP, g.locate, g.startNode} {
		if err := bring(c); err != nil {
			return nil, errors.Join(err, g.stop(context.Background()))
		}
	}
	g.announce()
	return g, nil
}

func (g *gateway) startGRPC(c *serveCommand) error {
	if len(chosen([]string{c.GRPC})) == 0 {
		return nil
	}
	listener, err := net.Listen("tcp", c.GRPC)
	if err != nil {
		return fmt.Errorf("grpc: %w", err)
	}
	o := server.DefaultOptions(g.broker.Options())
	o.Keepalive, o.KeepaliveTimeout, o.Log = c.Keepalive, c.KeepaliveTimeout, g.log
	o.Process, o.Stall = g, c.StallTimeout
	o.RateLimits, o.Registry = c.rateLimits(), g.instruments.metrics.Registry()
	o.Routes = server.RouteOptions{Maker: g.routeMaker(), AllowExec: c.AllowExecRoutes}
	o.Nodes = g.nodes
	o.Access, o.TLS, o.PublicReflection = g.guard.policy, g.guard.tls, c.PublicReflection
	o.Gate, o.PublicAdmin = g.guard.gate, c.Insecure.admin
	g.grpc = server.New(g.broker, o)
	g.bound.GRPC = boundAddress(listener, c.GRPC)
	go g.watch("grpc", func() error { return g.grpc.Serve(listener) })
	return nil
}

// watch reports a server that ends although nobody has stopped it.
func (g *gateway) watch(name string, serve func() error) {
	if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		g.failed <- fmt.Errorf("%s: %w", name, err)
	}
}

// drain refuses new flows for good, and waits until those there are have ended, or the
// grace is over. Addresses stay bound: to unbind would cut the peers.
func (g *gateway) drain(grace time.Duration) {
	g.steering.Lock()
	g.stopping = true // for good: this drain ends in an exit
	idle := g.refuse()
	g.steering.Unlock()
	select {
	case <-idle:
	case <-time.After(grace):
	}
}

// stop takes everything down: no new flows, EOT to those there are, then the
// fronts, once what is queued has gone out, all while the context lasts.
func (g *gateway) stop(ctx context.Context) error {
	g.reloader.close()
	if g.node != nil { // nobody new is to come
		_ = g.node.Close()
	}
	g.drain(0)
	g.broker.Close(flow.Draining, "the gateway is shutting down")
	g.builtin.Wait()
	var fronts errgroup.Group // at once: each waits for its slowest peer
	if g.grpc != nil {
		fronts.Go(func() error { g.grpc.Stop(ctx); return nil })
	}
	if g.bridge != nil {
		fronts.Go(g.bridge.Close)
	}
	if g.spawner != nil {
		fronts.Go(func() error { return g.spawner.Close(ctx) })
	}
	if g.connector != nil {
		fronts.Go(func() error { return g.connector.Close(ctx) })
	}
	fronts.Go(func() error { g.instruments.close(ctx, g.log); return nil })
	err := fronts.Wait()
	if g.http != nil {
		err = errors.Join(err, g.http.Close())
	}
	g.guard.close()
	return err
}

// ready is the line that tells where the gateway can be reached.
func (g *gateway) ready() string {
	var parts []string
	for _, front := range []struct{ name, addresses string }{
		{"zmq-server", strings.Join(g.bound.ZMQServer, ",")},
		{"zmq-router", strings.Join(g.bound.ZMQRouter, ",")},
		{"grpc", g.bound.GRPC},
		{"http", g.bound.HTTP},
	} {
		if front.addresses != "" {
			parts = append(parts, front.name+" "+front.addresses)
		}
	}
	return "ready: " + strings.Join(parts, "  ")
}

// writeReady writes the addresses to a file, which appears complete.
func (g *gateway) writeReady(path string) error {
	text, err := json.Marshal(g.bound)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(append(text, '\n'))
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
