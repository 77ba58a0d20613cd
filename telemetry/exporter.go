package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/text"
)

// flushLimit is how long a collector may take for the last spans.
const flushLimit = time.Second

// exportLines bounds the lines of a collector that does not take spans. Another cause has
// its line at once.
var exportLines = logs.Options{Burst: 1, Rate: 1. / 60}

// watchedExporter counts and logs what becomes of the spans, instead of telling
// OpenTelemetry's global error handler, and knows how its collector is.
type watchedExporter struct {
	sdktrace.SpanExporter
	metrics    *Metrics
	log        *slog.Logger
	lines      *logs.Sampler
	life       context.Context // ends with giveUp
	giveUp     context.CancelFunc
	flushLimit time.Duration // the constant of that name; tests have more time

	mu      sync.Mutex
	begun   time.Time // guarded by mu; of the export under way; zero if there is none
	failing bool      // guarded by mu; the last one has failed
	failed  int       // guarded by mu; spans
}

func newWatchedExporter(to sdktrace.SpanExporter, metrics *Metrics, log *slog.Logger) *watchedExporter {
	e := &watchedExporter{SpanExporter: to, metrics: metrics, log: log, lines: logs.NewSampler(log, exportLines), flushLimit: flushLimit}
	e.life, e.giveUp = context.WithCancel(context.Background())
	return e
}

// ExportSpans implements sdktrace.SpanExporter. It is called by one goroutine at a time,
// which no flow waits for. After giveUp it fails at once.
func (e *watchedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	e.mark(time.Now(), nil, 0)
	err := e.life.Err()
	if err == nil {
		err = e.SpanExporter.ExportSpans(ctx, spans)
	}
	e.mark(time.Time{}, err, len(spans))
	if err == nil {
		e.metrics.spans.WithLabelValues("exported").Add(float64(len(spans)))
		return nil
	}
	e.metrics.spans.WithLabelValues("failed").Add(float64(len(spans)))
	if e.life.Err() == nil { // otherwise Close tells of them
		e.lines.Log(ctx, slog.LevelWarn, "spans_not_exported", logs.Of("", text.Detail(err.Error())),
			"spans not exported", "spans", len(spans), "error", err)
	}
	return nil
}

// mark takes note of an export that begins, or with the zero time is over.
func (e *watchedExporter) mark(begun time.Time, err error, spans int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begun = begun
	if !begun.IsZero() {
		return
	}
	if e.failing = err != nil; e.failing {
		e.failed += spans
	}
}

// patience is how long the last spans may take: none where the collector has not taken
// those before.
func (e *watchedExporter) patience(now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.failing:
		return 0
	case e.begun.IsZero():
		return e.flushLimit
	}
	return e.flushLimit - now.Sub(e.begun)
}

// lost is how many spans were not taken.
func (e *watchedExporter) lost() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

// countedProcessor counts the spans that ended, whether or not the queue has
// room for them.
type countedProcessor struct {
	sdktrace.SpanProcessor
	metrics *Metrics
}

// OnEnd implements sdktrace.SpanProcessor.
func (p countedProcessor) OnEnd(s sdktrace.ReadOnlySpan) {
	p.metrics.spans.WithLabelValues("ended").Inc()
	p.SpanProcessor.OnEnd(s)
}
