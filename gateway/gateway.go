package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/gateway/front"
	"github.com/zioflow/gateway/gateway/guard"
	"github.com/zioflow/gateway/gateway/reload"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/zre"
	"github.com/zioflow/gateway/zre/nodes"
)

// Config is what a gateway is made of.
type Config = config.Config

// DefaultConfig is the configuration of a gateway that nobody has configured: on loopback,
// at the ports that the README names.
func DefaultConfig() Config { return config.Default() }

// stopTimeout bounds an orderly stop.
const stopTimeout = 4 * time.Second

// maxFailures is how many fronts may fail by themselves.
const maxFailures = 8

// Gateway is a running gateway: the broker with all its fronts. Its methods may be
// called concurrently.
type Gateway struct {
	operations // what operators do, and see
	grace      time.Duration
	handlers   *handlers
	nodes      *nodes.Table
	online     *zre.Node // nil without discovery
	guard      *guard.Guard
	notes      *reload.Notes
	full       *fullness
	measure    instruments
	failed     chan error // takes the error of a server that ended by itself
}

// A Gateway is what operators steer.
var _ admin.Process = (*Gateway)(nil)

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
	if c.Level == nil { // which no log looks at
		c.Level = new(slog.LevelVar)
	}
	g, err := assemble(&c)
	if err != nil {
		return nil, err
	}
	if err = g.handlers.start(&c); err == nil {
		err = g.fronts.Open(g.host(), &c)
	}
	if err != nil {
		return nil, errors.Join(err, g.Stop(context.Background()))
	}
	g.handlers.locate(g.Addresses())
	name := ""
	if g.online = openNode(&c, g.Addresses(), g.nodes, g.measure.metrics, g.log); g.online != nil {
		name = g.online.Name()
	}
	g.announce(name)
	g.full.watch(g.broker, g.tellReady)
	g.tellReady()
	c.WarnOpen(g.Endpoints(), g.log)
	return g, nil
}

// assemble puts together what the fronts need.
func assemble(c *Config) (g *Gateway, err error) {
	g = &Gateway{full: newFullness(), grace: c.DrainGrace, nodes: nodes.NewTable(), failed: make(chan error, maxFailures)}
	g.version, g.level, g.fronts = c.Version, c.Level, new(front.Set)
	if g.measure, g.log, err = instrument(c, c.Log); err != nil {
		return nil, err
	}
	g.notes = reload.NewNotes(g.log, g.measure.metrics.Reloaded)
	if g.guard, err = guard.Open(c, g.log, g.measure.metrics, g.notes); err != nil {
		g.measure.close(context.Background(), g.log)
		return nil, err
	}
	if err := g.join(c); err != nil {
		g.guard.Close()
		g.measure.close(context.Background(), g.log)
		return nil, err
	}
	return g, nil
}

// join makes the broker with what finds handlers for it.
func (g *Gateway) join(c *Config) (err error) {
	if g.broker, err = broker.New(g.brokerOptions(c)); err != nil {
		return err
	}
	var directory connect.Directory
	if c.Node.Online() {
		directory = g.nodes
	}
	if g.handlers, err = newHandlers(g.broker, c, directory, g.log); err != nil {
		g.broker.Close(flow.Draining, "the gateway does not start")
		return err
	}
	g.measure.metrics.Watch(g.broker)
	if c.LogDropped != nil {
		g.measure.metrics.WatchLog(c.LogDropped)
	}
	g.reloader = reload.New(c, g.notes, reloadLimits(g.broker, c, g.brokerOptions), reloadLog(g.level),
		g.fronts.Prepare, g.handlers.prepare, g.guard.Prepare)
	return nil
}

// brokerOptions are a configuration's limits, with what the gateway has the broker tell.
func (g *Gateway) brokerOptions(c *Config) broker.Options {
	o := c.BrokerLimits()
	o.Log, o.Observers = g.log, slices.Concat(g.measure.observers(), o.Observers)
	if g.guard.Policy != nil {
		o.Denied = g.guard.Policy.Refused
	}
	return o
}

// host is what the fronts serve.
func (g *Gateway) host() *front.Host {
	return &front.Host{
		Broker: g.broker, Log: g.log, Metrics: g.measure.metrics, Guard: g.guard, Nodes: g.nodes, Maker: g.handlers.maker,
		Process: g, Draining: g.fronts.Draining, Pending: g.notReady, Soon: g.guard.Expiry.Soon, Failed: g.failed,
	}
}

// notReady is why new peers should not come, in words; empty if they may.
func (g *Gateway) notReady() string {
	var words []string
	for _, word := range []string{g.notes.Pending(), g.guard.Expiry.NotReady(), g.full.notReady(time.Now())} {
		if word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, "\n")
}

// tellReady has the fronts tell whether new peers may come.
func (g *Gateway) tellReady() { g.fronts.Ready(g.notReady() == "") }

// Addresses are those that the gateway has bound: with the ports that it has got where 0
// was asked for.
func (g *Gateway) Addresses() Addresses { return addressesOf(g.Endpoints()) }

// Endpoints are the same, with how each is secured.
func (g *Gateway) Endpoints() []admin.Endpoint { return g.fronts.Endpoints() }

// Broker is what pairs clients and handlers, for handlers in the same program.
func (g *Gateway) Broker() *broker.Broker { return g.broker }

// Metrics are the gateway's, and the Go runtime's and process's, to be gathered with those
// of the program around it.
func (g *Gateway) Metrics() *prometheus.Registry { return g.measure.metrics.Registry() }

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

// drain refuses new flows for good, and waits until those there are have ended, or the
// grace is over. Addresses stay bound: to unbind would cut the peers.
func (g *Gateway) drain(grace time.Duration) {
	select {
	case <-g.stop():
	case <-time.After(grace):
	}
}

// Stop takes everything down: no new flows, EOT to those there are, then the
// fronts, once what is queued has gone out, all while the context lasts. Run does so by
// itself.
func (g *Gateway) Stop(ctx context.Context) error {
	g.reloader.Close()
	g.full.stop()
	if g.online != nil { // nobody new is to come
		_ = g.online.Close()
	}
	g.drain(0)
	g.broker.Close(flow.Draining, "the gateway is shutting down")
	var closing errgroup.Group // at once, as each waits for its slowest peer
	closing.Go(func() error { return g.fronts.Close(ctx, false) })
	closing.Go(func() error { return g.handlers.close(ctx) })
	closing.Go(func() error { g.measure.close(ctx, g.log); return nil })
	err := errors.Join(closing.Wait(), g.fronts.Close(ctx, true))
	g.guard.Close()
	return err
}
