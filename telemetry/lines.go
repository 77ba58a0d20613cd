package telemetry

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// levels are those that have a name.
var levels = []string{"debug", "info", "warn", "error"}

// CountLines is a handler that counts what it passes on to another, by level, and
// what samplers leave out.
func (m *Metrics) CountLines(to slog.Handler) slog.Handler {
	counters := make([]prometheus.Counter, len(levels))
	for i, level := range levels {
		counters[i] = m.lines.WithLabelValues(level)
	}
	return lineCounter{to, counters, m.left}
}

// lineCounter is a slog.Handler; the embedded one decides what is enabled.
type lineCounter struct {
	slog.Handler
	counters []prometheus.Counter // as levels
	left     *prometheus.CounterVec
}

// Suppressed implements logs.Counter.
func (h lineCounter) Suppressed(kind string) { h.left.WithLabelValues(kind).Inc() }

// Handle implements slog.Handler.
func (h lineCounter) Handle(ctx context.Context, r slog.Record) error {
	h.counters[place(r.Level)].Inc()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h lineCounter) WithAttrs(attributes []slog.Attr) slog.Handler {
	return lineCounter{h.Handler.WithAttrs(attributes), h.counters, h.left}
}

// WithGroup implements slog.Handler.
func (h lineCounter) WithGroup(name string) slog.Handler {
	return lineCounter{h.Handler.WithGroup(name), h.counters, h.left}
}

// place is that of a level in levels; those between count for the lower one.
func place(level slog.Level) int {
	return min(max(0, int(level-slog.LevelDebug)/4), len(levels)-1)
}
