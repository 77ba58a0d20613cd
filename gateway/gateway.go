package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/zre"
	"github.com/zioflow/gateway/zre/nodes"
)

// stopTimeout bounds an orderly stop.
const stopTimeout = 4 * time.Second

// Gateway is a running gateway: the broker with all its fronts. Its methods may be
// called concurrently.
type Gateway struct {
	log       *slog.Logger
	version   string
	grace     time.Duration
	broker    *broker.Broker
	builtin   *builtin.Handlers
	spawner   *spawn.Spawner
	connector *connect.Connector
	nodes     *nodes.Table
	node      *zre.Node      // nil without discovery
	grpc      *server.Server // nil without an address
	guard     *security
	level     *slog.LevelVar
	reloader  *reloader
	reloads   *reloads
	// instruments measure all of it.
	instruments instruments
	failed      chan error // takes the error of a server that ended by itself

	draining atomic.Bool      // changed with steering held
	steering sync.Mutex       // so that one operator at a time steers
	fronts   []openFront      // guarded by steering
	bound    []admin.Endpoint // guarded by steering
	stopping bool             // guarded by steering; for good
	started  time.Time        // guarded by steering
	online   string           // guarded by steering; the node's name
}

// openFront is a front that is served.
type openFront struct {
	Front
	last bool // see kind
}

// New brings a gateway up: when it returns, every address is bound and served. The error
// names the option that makes no sense, or the address or file that cannot be had; then
// nothing is left behind. What New returns has to be run.
func New(c Config) (*Gateway, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	g, err := assemble(&c)
	if err != nil {
		return nil, err
	}
	for _, bring := range []func(*Config) error{g.startRoutes, g.openFronts, g.locate, g.startNode} {
		if err := bring(&c); err != nil {
			return nil, errors.Join(err, g.Stop(context.Background()))
		}
	}
	g.announce()
	c.warnOpen(g.Endpoints(), g.log)
	return g, nil
}

// assemble puts together what the fronts need: broker, guard and instruments.
func assemble(c *Config) (*Gateway, error) {
	measure, log, err := instrument(c, c.Log)
	if err != nil {
		return nil, err
	}
	notes := newReloads(log, measure.metrics.Reloaded)
	guard, err := c.openSecurity(log, measure.metrics, notes)
	if err != nil {
		measure.close(context.Background(), log)
		return nil, err
	}
	g := &Gateway{
		log: log, version: c.Version, grace: c.DrainGrace, level: c.Level, instruments: measure,
		guard: guard, reloads: notes, nodes: nodes.NewTable(), failed: make(chan error, 2),
	}
	if g.level == nil { // which no log looks at
		g.level = new(slog.LevelVar)
	}
	if g.broker, err = broker.New(g.brokerOptions(c)); err != nil {
		guard.close()
		measure.close(context.Background(), log)
		return nil, err
	}
	g.builtin = builtin.New(g.broker, log)
	measure.metrics.Watch(g.broker)
	if c.LogDropped != nil {
		measure.metrics.WatchLog(c.LogDropped)
	}
	g.reloader = newReloader(c, notes, g.reloadLimits(c), g.reloadLog, g.reloadRates, g.reloadRoutes, guard.prepare)
	return g, nil
}

// brokerOptions are a configuration's limits, with what the gateway has the broker tell.
func (g *Gateway) brokerOptions(c *Config) broker.Options {
	o := c.limits()
	o.Log, o.Observers = g.log, slices.Concat(g.instruments.observers(), o.Observers)
	if g.guard != nil && g.guard.policy != nil {
		o.Denied = g.guard.policy.Refused
	}
	return o
}

// openFronts opens the fronts that have addresses.
func (g *Gateway) openFronts(c *Config) error {
	for _, k := range kinds() {
		front, err := k.open(g, c)
		if err != nil {
			return err
		}
		if front == nil {
			continue
		}
		g.steering.Lock()
		g.fronts = append(g.fronts, openFront{front, k.last})
		g.bound = append(g.bound, front.Endpoints()...)
		if g.draining.Load() { // an operator was quick
			front.Drain()
		}
		g.steering.Unlock()
	}
	return nil
}

// Addresses are those that the gateway has bound: with the ports that it has got where 0
// was asked for.
func (g *Gateway) Addresses() Addresses { return addressesOf(g.Endpoints()) }

// Endpoints are the same, with how each is secured.
func (g *Gateway) Endpoints() []admin.Endpoint {
	g.steering.Lock()
	defer g.steering.Unlock()
	return slices.Clone(g.bound)
}

// Broker is what pairs clients and handlers, for handlers in the same program.
func (g *Gateway) Broker() *broker.Broker { return g.broker }

// Metrics are the gateway's, and the Go runtime's and process's, to be gathered with those
// of the program around it.
func (g *Gateway) Metrics() *prometheus.Registry { return g.instruments.metrics.Registry() }

// Run serves until ctx ends, or a front fails by itself, which is the error. Then it
// refuses new flows, waits for those there are as long as Config.DrainGrace, and stops. It
// is to be called once.
func (g *Gateway) Run(ctx context.Context) error {
	var failed error
	select {
	case <-ctx.Done():
		g.log.Info("stopping; a second signal stops at once", "grace", g.grace)
		g.drain(g.grace)
	case failed = <-g.failed:
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(failed, g.Stop(stopping))
}

// watch reports a server that ends although nobody has stopped it.
func (g *Gateway) watch(name string, serve func() error) {
	if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		g.failed <- fmt.Errorf("%s: %w", name, err)
	}
}

// drain refuses new flows for good, and waits until those there are have ended, or the
// grace is over. Addresses stay bound: to unbind would cut the peers.
func (g *Gateway) drain(grace time.Duration) {
	g.steering.Lock()
	g.stopping = true // for good: this drain ends in an exit
	idle := g.refuse()
	g.steering.Unlock()
	select {
	case <-idle:
	case <-time.After(grace):
	}
}

// Stop takes everything down: no new flows, EOT to those there are, then the
// fronts, once what is queued has gone out, all while the context lasts. Run does so by
// itself.
func (g *Gateway) Stop(ctx context.Context) error {
	g.reloader.close()
	if g.node != nil { // nobody new is to come
		_ = g.node.Close()
	}
	g.drain(0)
	g.broker.Close(flow.Draining, "the gateway is shutting down")
	g.builtin.Wait()
	err := g.closeFronts(ctx, false)
	err = errors.Join(err, g.closeFronts(ctx, true))
	g.guard.close()
	return err
}

// closeFronts closes the last fronts, or all others and what works for routes: at once, as
// each waits for its slowest peer.
func (g *Gateway) closeFronts(ctx context.Context, last bool) error {
	g.steering.Lock()
	fronts := slices.Clone(g.fronts)
	g.steering.Unlock()
	var closing errgroup.Group
	for _, f := range fronts {
		if f.last == last {
			closing.Go(func() error { return f.Close(ctx) })
		}
	}
	if last {
		return closing.Wait()
	}
	if g.spawner != nil {
		closing.Go(func() error { return g.spawner.Close(ctx) })
	}
	if g.connector != nil {
		closing.Go(func() error { return g.connector.Close(ctx) })
	}
	closing.Go(func() error { g.instruments.close(ctx, g.log); return nil })
	return closing.Wait()
}
