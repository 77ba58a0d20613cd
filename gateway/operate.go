package gateway

import (
	"log/slog"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/gateway/front"
	"github.com/zioflow/gateway/gateway/reload"
	"github.com/zioflow/gateway/server/admin"
)

// operations are what operators do with a gateway. It is an admin.Process.
type operations struct {
	log      *slog.Logger
	version  string
	level    *slog.LevelVar
	broker   *broker.Broker
	fronts   *front.Set
	reloader *reload.Reloader

	mu       sync.Mutex // one operator at a time
	stopping bool       // guarded by mu; for good
	started  time.Time  // guarded by mu
	node     string     // guarded by mu; the name by which it is found
}

// announce has Status show that the gateway is up, and by which name it is found.
func (o *operations) announce(node string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.started, o.node = time.Now(), node
}

// Status implements admin.Process.
func (o *operations) Status() admin.ProcessStatus {
	o.mu.Lock()
	defer o.mu.Unlock()
	return admin.ProcessStatus{
		Version: o.version, Started: o.started, Configured: o.reloader.Configured(),
		Draining: o.fronts.Draining(), LogLevel: o.level.Level(), Endpoints: o.fronts.Endpoints(),
		Node: o.node, Cluster: o.fronts.Cluster(),
	}
}

// Drain implements admin.Process.
func (o *operations) Drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.fronts.Draining() {
		o.log.Info("draining: new flows are refused", "flows", o.broker.Live())
	}
	if !o.stopping {
		o.refuse("the gateway was drained by an operator")
	}
}

// refuse refuses new flows, says why, and has health checks say so. o.mu is held.
func (o *operations) refuse(why string) (idle <-chan struct{}) {
	o.fronts.Drain()
	return o.broker.DrainFor(why)
}

// Undrain implements admin.Process.
func (o *operations) Undrain() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopping {
		return reload.ErrStopping
	}
	if !o.fronts.Draining() {
		return nil
	}
	o.broker.Undrain()
	o.fronts.Undrain()
	o.log.Info("taking new flows again")
	return nil
}

// SetLogLevel implements admin.Process.
func (o *operations) SetLogLevel(level slog.Level) slog.Level {
	o.mu.Lock()
	defer o.mu.Unlock()
	previous := o.level.Level()
	told := func() { o.log.Info("log level changed", "from", previous.String(), "to", level.String()) }
	if level > previous { // while it can still be told
		told()
	}
	o.level.Set(level)
	if level < previous {
		told()
	}
	return previous
}

// Reload implements admin.Process.
func (o *operations) Reload() (admin.Reloaded, error) { return o.reloader.Reload() }

// stop refuses new flows for good, and returns what is closed when there are none.
func (o *operations) stop() (idle <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopping = true
	return o.refuse("the gateway is shutting down")
}
