// Package broker pairs clients with handlers and relays flows between them. It
// knows neither ZeroMQ nor gRPC: a transport attaches a Link for each of its
// peers and passes on what the peer sends.
//
// Locks are taken in the order Flow, route table, listener group, the registries, quotas,
// offers, link, with that of the peers' table taken alone; none is held while something waits.
package broker

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/timeshare"
	"github.com/zioflow/gateway/internal/logs"
)

// Broker is the routing core. All its methods may be called concurrently.
type Broker struct {
	options   atomic.Pointer[Options]
	log       *slog.Logger
	host      relay.Host
	router    routing.Router
	listeners listeners.Registry
	registry  registry
	quotas    quotas
	peers     peerTable
	history   history
	budget    budget.Budget
	early     budget.Budget  // of peers that take part in no flow yet
	factories sync.WaitGroup // their goroutines
	elsewhere atomic.Pointer[Elsewhere]
}

// New makes a broker without routes.
func New(options Options) (*Broker, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	b := &Broker{log: options.Log, peers: peerTable{byTransport: map[string]int{}}, history: newHistory()}
	b.registry = registry{
		Broker: b, idle: make(chan struct{}), refused: map[flow.Reason]uint64{},
		totals: relay.Totals{Ended: map[flow.Reason]uint64{}},
	}
	b.router.Scheduler, b.router.Log = timeshare.New(), options.Log
	b.listeners.Table = &b.router.Table
	b.host = relay.Host{
		Registry: &b.registry, Router: &b.router, Budget: &b.budget, Clock: ledger.NewClock(),
		Log: options.Log, Lines: logs.NewSampler(options.Log, logs.Options{}), Go: b.factories.Go,
	}
	b.options.Store(options.put())
	b.setBudgets(&options)
	return b, nil
}

// Options returns the broker's limits.
func (b *Broker) Options() Options { return *b.limits() }

// limits are not to be changed.
func (b *Broker) limits() *Options { return b.options.Load() }

// SetLimits puts other limits to use for flows opened from now on; only MaxBytes
// concerns those there are. The number of ended flows that are remembered, the log
// and the observers stay. A transport that was made for smaller credits or messages
// does not grow by it.
func (b *Broker) SetLimits(options Options) error {
	if err := options.Validate(); err != nil {
		return err
	}
	b.registry.mu.Lock()
	defer b.registry.mu.Unlock()
	was := b.limits()
	options.KeepEnded, options.Log = was.KeepEnded, was.Log
	options.Observers, options.Denied = was.Observers, was.Denied
	b.options.Store(options.put())
	b.setBudgets(&options)
	return nil
}

// setBudgets puts the limits to use. Peers that take part in no flow share what two
// messages need: enough for BOTs that carry much, one after the other, whoever else has
// begun to send one and does not go on.
func (b *Broker) setBudgets(o *Options) {
	b.budget.Resize(o.MaxBytes)
	b.early.Resize(2*int64(o.MaxMessage) + 4<<20)
}

// Drain refuses every BOT from now on that would begin a flow; handlers still
// reach the flows that are pending. The channel is closed when no flow is left,
// unless Undrain comes before that: then never. Drain while draining changes
// nothing and returns the same channel.
func (b *Broker) Drain() (idle <-chan struct{}) { return b.DrainFor(shuttingDown) }

// DrainFor is Drain that tells who is refused why; of several calls the last one does.
func (b *Broker) DrainFor(why string) (idle <-chan struct{}) { return b.registry.drain(why) }

// shuttingDown is why flows are refused where nobody has said more.
const shuttingDown = "the gateway is shutting down"

// Undrain takes new flows again. It returns false after Close, which is for good.
func (b *Broker) Undrain() bool { return b.registry.undrain() }

// Close refuses new flows, ends the ones there are for that reason, and returns
// when their factories have returned.
func (b *Broker) Close(reason flow.Reason, detail string) {
	b.registry.close()
	for _, f := range b.registry.present(false) {
		f.Stop(reason, detail)
	}
	b.factories.Wait()
	b.host.Sweeper.Wait()
}

// Live counts the flows that have not ended.
func (b *Broker) Live() int { return int(b.registry.Live()) }

// Flows describes the flows that have not ended, in the order of their ids,
// then those that are remembered.
func (b *Broker) Flows() []relay.Info {
	flows := b.registry.present(true) // at once, so that none is missed
	infos := make([]relay.Info, len(flows))
	for i, f := range flows {
		infos[i] = f.Info()
	}
	return infos
}
