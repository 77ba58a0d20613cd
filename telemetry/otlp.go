package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// ExportOptions say where spans go, and how.
type ExportOptions struct {
	// Endpoint is the collector's URL, http:// or https://, to which http/protobuf adds
	// v1/traces as to that of OTEL_EXPORTER_OTLP_ENDPOINT. Empty leaves it to OpenTelemetry's
	// environment variables.
	Endpoint string
	// Protocol is grpc or http/protobuf. Empty leaves it to OpenTelemetry's environment
	// variables; grpc if these do not say.
	Protocol string
	// Version is the gateway's.
	Version string
	// Metrics counts the spans.
	Metrics *Metrics
	// Log takes what goes wrong.
	Log *slog.Logger
}

// The protocols, as OpenTelemetry's specification has them.
const (
	overGRPC = "grpc"
	overHTTP = "http/protobuf"
)

// Validate names the option, or the environment variable, that makes no sense.
func (o ExportOptions) Validate() error {
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("otlp-endpoint is %q, want http://HOST:PORT or https://HOST:PORT", o.Endpoint)
		}
	}
	if protocol, by := o.protocol(); !slices.Contains([]string{overGRPC, overHTTP}, protocol) && (o.Protocol != "" || o.wanted()) {
		return fmt.Errorf("%s is %q, want %s or %s", by, protocol, overGRPC, overHTTP)
	}
	return nil
}

// protocol is the one to use, and the option or variable that says so.
func (o ExportOptions) protocol() (protocol, by string) {
	if o.Protocol != "" {
		return o.Protocol, "otlp-protocol"
	}
	for _, by := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := os.Getenv(by); protocol != "" {
			return protocol, by
		}
	}
	return overGRPC, ""
}

// wanted tells whether anybody has asked for traces.
func (o ExportOptions) wanted() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return cmp.Or(o.Endpoint, os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")) != ""
}

// Export begins to send spans to a collector; nil if neither the options nor the
// environment name one. It connects to nobody before there is a span. A collector that is
// not there, or does not take what it is sent, costs no flow anything: the spans that the
// queue has no room for are dropped.
func Export(ctx context.Context, o ExportOptions) (*Traces, error) {
	if !o.wanted() {
		return nil, nil
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	exporter, err := o.exporter(ctx)
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
	watched := newWatchedExporter(exporter, o.Metrics, o.Log)
	return newTraces(watched, sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(countedProcessor{sdktrace.NewBatchSpanProcessor(watched), o.Metrics}),
		sdktrace.WithResource(described))), nil
}

// exporter speaks the protocol that is asked for. What the options do not say, the
// library reads from the environment.
func (o ExportOptions) exporter(ctx context.Context) (*otlptrace.Exporter, error) {
	protocol, _ := o.protocol()
	if protocol == overGRPC {
		var options []otlptracegrpc.Option
		if o.Endpoint != "" {
			options = append(options, otlptracegrpc.WithEndpointURL(o.Endpoint))
		}
		return otlptracegrpc.New(ctx, options...)
	}
	var options []otlptracehttp.Option
	if o.Endpoint != "" {
		const path = "/v1/traces"
		base := strings.TrimSuffix(strings.TrimSuffix(o.Endpoint, "/"), path)
		options = append(options, otlptracehttp.WithEndpointURL(strings.TrimSuffix(base, "/")+path))
	}
	return otlptracehttp.New(ctx, options...)
}
