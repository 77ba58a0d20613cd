package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// spanName is that of every span.
const spanName = "zio.flow"

// Traces makes a span of every flow. A flow whose BOT has a traceparent attribute
// is part of that trace. Its methods may be called concurrently.
type Traces struct {
	exporter *watchedExporter
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer

	mu    sync.Mutex
	spans map[transport.FlowID]trace.Span // guarded by mu; of the flows that have not ended
}

func newTraces(exporter *watchedExporter, provider *sdktrace.TracerProvider) *Traces {
	return &Traces{
		exporter: exporter,
		provider: provider,
		tracer:   provider.Tracer("github.com/zioflow/gateway/telemetry"),
		spans:    map[transport.FlowID]trace.Span{},
	}
}

// Close sends what has not been sent, while the context lasts and no longer than
// flushLimit; a collector that does not take what it is sent is not waited for. What is
// left is lost, and a line says how much. Nothing runs on afterwards. The broker should
// have been closed.
func (t *Traces) Close(ctx context.Context) error {
	defer t.exporter.giveUp()
	before := t.exporter.lost() // those have had their line
	limit := time.AfterFunc(t.exporter.patience(time.Now()), t.exporter.giveUp)
	defer limit.Stop()
	defer context.AfterFunc(ctx, t.exporter.giveUp)()
	err := t.provider.Shutdown(context.WithoutCancel(ctx))
	if left := t.exporter.lost() - before; left > 0 {
		t.exporter.log.Warn("spans left behind", "spans", left)
	}
	return err
}

// Observe implements broker.Observer.
func (t *Traces) Observe(e broker.Event) {
	span := t.span(e)
	at := trace.WithTimestamp(e.Time)
	switch e.Flow.Phase {
	case flow.Pending:
		span.AddEvent("pending", at)
	case flow.Active:
		span.AddEvent("active", at)
		showAgent(span, "zio.handler.agent", e.Flow.Handler)
		span.SetAttributes(
			attribute.String("zio.handler", e.Flow.Handler.String()),
			attribute.Int64("zio.credit", e.Flow.Credit))
	case flow.HalfClosed:
		span.AddEvent("half-closed", at)
	case flow.Ended:
		finish(span, e.Flow)
		span.End(at)
	}
}

// span is the flow's own, begun with its first event and forgotten with its last.
func (t *Traces) span(e broker.Event) trace.Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	span := t.spans[e.Flow.ID]
	if span == nil {
		_, span = t.tracer.Start(parent(e.Flow.Label), spanName,
			trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(e.Flow.Opened),
			trace.WithAttributes(
				attribute.Int64("zio.flow.id", int64(e.Flow.ID)),
				attribute.String("zio.client", e.Flow.Client.String()),
				attribute.String("zio.direction", e.Flow.Direction.String())))
		showAgent(span, "zio.client.agent", e.Flow.Client)
		t.spans[e.Flow.ID] = span
	}
	if e.Flow.Phase == flow.Ended {
		delete(t.spans, e.Flow.ID)
	}
	return span
}

// showAgent shows the program that a peer says it is, if it does.
func showAgent(span trace.Span, key string, peer transport.PeerInfo) {
	if peer.Agent != "" {
		span.SetAttributes(attribute.String(key, peer.Agent))
	}
}

// parent is the context that a BOT's label names, W3C's traceparent and
// tracestate. What is malformed counts as missing: a flow does not fail for it.
func parent(label []byte) context.Context {
	carrier := propagation.MapCarrier{}
	for key, member := range zio.Members(label) {
		if key != "traceparent" && key != "tracestate" || len(member.Text) > maxTraceContext {
			continue
		}
		if text, is := member.Value().(string); is { // another type counts as missing
			carrier[key] = text
		}
	}
	return propagation.TraceContext{}.Extract(context.Background(), carrier)
}

// maxTraceContext is how long an attribute of a trace context may be, in bytes; W3C
// allows a tracestate of 512.
const maxTraceContext = 4 << 10

// finish takes note of how a flow ended.
func finish(span trace.Span, f *relay.Info) {
	span.SetAttributes(
		attribute.String("zio.route", f.Route),
		attribute.String("zio.reason", f.Reason.String()),
		attribute.Int64("zio.messages", int64(f.Data.Messages)),
		attribute.Int64("zio.bytes", int64(f.Data.Bytes)))
	if f.Reason == flow.Completed {
		return
	}
	text := f.Reason.String()
	if f.Detail != "" {
		text += ": " + f.Detail
	}
	span.SetStatus(codes.Error, text)
}
