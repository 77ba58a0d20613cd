package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// ExportOptions say where spans go.
type ExportOptions struct {
	// Endpoint is the collector's URL, http:// or https://. Empty leaves it to
	// OpenTelemetry's environment variables.
	Endpoint string
	// Version is the gateway's.
	Version string
	// Metrics counts the spans.
	Metrics *Metrics
	// Log takes what goes wrong.
	Log *slog.Logger
}

// Validate names the option that makes no sense.
func (o ExportOptions) Validate() error {
	if o.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("otlp-endpoint is %q, want http://HOST:PORT or https://HOST:PORT", o.Endpoint)
	}
	return nil
}

// wanted tells whether anybody has asked for traces.
func (o ExportOptions) wanted() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return o.Endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
		os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// Export begins to send spans to a collector by OTLP over gRPC; nil if neither
// the options nor the environment name one. A collector that is not there costs
// no flow anything: the spans that the queue has no room for are dropped.
func Export(ctx context.Context, o ExportOptions) (*Traces, error) {
	if !o.wanted() {
		return nil, nil
	}
	var options []otlptracegrpc.Option
	if o.Endpoint != "" {
		options = append(options, otlptracegrpc.WithEndpointURL(o.Endpoint))
	}
	exporter, err := otlptracegrpc.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	described, err := resource.New(ctx, // the environment wins
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String("service.name", "zio-gateway"), attribute.String("service.version", o.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	batches := sdktrace.NewBatchSpanProcessor(countedExporter{exporter, o.Metrics, o.Log})
	return newTraces(sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(countedProcessor{batches, o.Metrics}), sdktrace.WithResource(described))), nil
}
