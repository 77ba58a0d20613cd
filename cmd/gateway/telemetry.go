package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/telemetry"
	"github.com/zioflow/gateway/zmqbridge"
)

// telemetryFlags say what is measured, and how much is let in.
type telemetryFlags struct {
	OTLPEndpoint      string  `name:"otlp-endpoint" help:"Send a span of every flow to this OpenTelemetry collector, by OTLP over gRPC: http://HOST:PORT or https://HOST:PORT. OpenTelemetry's own environment variables do as well." placeholder:"URL"`
	GRPCRateLimit     float64 `name:"grpc-rate-limit" default:"0" help:"How many gRPC calls may begin in a second; 0 for any number." placeholder:"N" reload:""`
	GRPCPeerRateLimit float64 `name:"grpc-peer-rate-limit" default:"0" help:"The same for each host." placeholder:"N" reload:""`
}

// validateTelemetry names the option that makes no sense.
func (f *telemetryFlags) validateTelemetry() error {
	for option, value := range map[string]float64{
		"grpc-rate-limit": f.GRPCRateLimit, "grpc-peer-rate-limit": f.GRPCPeerRateLimit,
	} {
		if !(value >= 0) { // nor is it NaN
			return fmt.Errorf("%s is %v, want 0 or more", option, value)
		}
	}
	return telemetry.ExportOptions{Endpoint: f.OTLPEndpoint}.Validate()
}

func (f *telemetryFlags) rateLimits() server.RateLimits {
	return server.RateLimits{Total: f.GRPCRateLimit, Peer: f.GRPCPeerRateLimit}
}

// flushLimit is how long the last spans may take to be sent.
const flushLimit = 2 * time.Second

// instruments measure a gateway.
type instruments struct {
	metrics *telemetry.Metrics
	traces  *telemetry.Traces // nil if nobody wants any
}

// instrument makes them ready, and answers the log to use: one whose lines are
// counted.
func instrument(f *telemetryFlags, log *slog.Logger) (instruments, *slog.Logger, error) {
	i := instruments{metrics: telemetry.NewMetrics(version())}
	for _, front := range []string{"grpc", "zmq-server", "zmq-router"} {
		i.metrics.AuthCauses(front, access.CauseWords()...)
	}
	log = slog.New(i.metrics.CountLines(log.Handler()))
	traces, err := telemetry.Export(context.Background(), telemetry.ExportOptions{
		Endpoint: f.OTLPEndpoint, Version: version(), Metrics: i.metrics, Log: log,
	})
	if traces != nil {
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("OpenTelemetry failed", "error", err) }))
	}
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

// reloadRates changes how many calls may begin.
func (g *gateway) reloadRates(next *serveCommand) (apply func() []string, err error) {
	return func() []string {
		if g.grpc != nil {
			g.grpc.SetRateLimits(next.rateLimits())
		}
		return nil
	}, nil
}
