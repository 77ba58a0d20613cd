package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/telemetry"
	"github.com/zioflow/gateway/zmqbridge"
)

// flushLimit is how long the last spans may take to be sent.
const flushLimit = 2 * time.Second

// instruments measure a gateway.
type instruments struct {
	metrics *telemetry.Metrics
	traces  *telemetry.Traces // nil if nobody wants any
}

// instrument makes them ready, and returns the log to use: one whose lines are
// counted.
func instrument(c *Config, log *slog.Logger) (instruments, *slog.Logger, error) {
	i := instruments{metrics: telemetry.NewMetrics(c.Version)}
	for _, front := range []string{transportGRPC, transportServer, transportRouter} {
		i.metrics.AuthCauses(front, access.CauseWords()...)
	}
	log = slog.New(i.metrics.CountLines(log.Handler()))
	traces, err := telemetry.Export(context.Background(), telemetry.ExportOptions{
		Endpoint: c.OTLPEndpoint, Version: c.Version, Metrics: i.metrics, Log: log,
	})
	i.traces = traces
	return i, log, err
}

// observers are to be told of every flow.
func (i instruments) observers() []broker.Observer {
	if i.traces == nil {
		return []broker.Observer{i.metrics}
	}
	return []broker.Observer{i.metrics, i.traces}
}

// close sends the spans that are left, while the context lasts, but no longer than
// flushLimit. What cannot be sent then is lost, which is no reason for a failure.
func (i instruments) close(ctx context.Context, log *slog.Logger) {
	if i.traces == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushLimit)
	defer cancel()
	if err := i.traces.Close(ctx); err != nil {
		log.Warn("spans left behind", "error", err)
	}
}

// watchZMQ has the metrics of the ZeroMQ front read from the bridge.
func (i instruments) watchZMQ(b zmqbridge.Bridge) {
	i.metrics.WatchZMQ(func() []telemetry.ZMQEndpoint {
		stats := b.Stats()
		endpoints := make([]telemetry.ZMQEndpoint, len(stats))
		for i, s := range stats {
			endpoints[i] = telemetry.ZMQEndpoint{
				Name: s.Endpoint, Connections: s.Connections, Handshaking: s.Handshaking,
				Handshakes: s.Handshakes, Ended: s.Ended, BytesIn: s.BytesIn, BytesOut: s.BytesOut,
				OutboxMessages: s.OutboxMessages, OutboxBytes: s.OutboxBytes, TooLarge: s.TooLarge,
			}
		}
		return endpoints
	}, b.Panics)
}
