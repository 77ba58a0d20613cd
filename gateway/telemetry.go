package gateway

import (
	"context"
	"log/slog"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/telemetry"
)

// instruments measure a gateway.
type instruments struct {
	metrics *telemetry.Metrics
	traces  *telemetry.Traces // nil if nobody wants any
}

// instrument makes them ready, and returns the log to use: one whose lines are
// counted.
func instrument(c *config.Config, log *slog.Logger) (instruments, *slog.Logger, error) {
	i := instruments{metrics: telemetry.NewMetrics(c.Version)}
	for _, front := range []string{config.GRPCTransport, config.ServerTransport, config.RouterTransport} {
		i.metrics.AuthCauses(front, access.CauseWords()...)
	}
	log = slog.New(i.metrics.CountLines(log.Handler()))
	traces, err := telemetry.Export(context.Background(), telemetry.ExportOptions{
		Endpoint: c.OTLPEndpoint, Protocol: c.OTLPProtocol, Version: c.Version, Metrics: i.metrics, Log: log,
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

// close sends the spans that are left, while the context lasts. What cannot be sent then
// is lost, which is no reason for a failure.
func (i instruments) close(ctx context.Context, log *slog.Logger) {
	if i.traces == nil {
		return
	}
	if err := i.traces.Close(ctx); err != nil {
		log.Warn("the connection to the collector of spans", "error", err)
	}
}
