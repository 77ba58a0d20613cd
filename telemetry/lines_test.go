package telemetry_test

import (
	"log/slog"
	"testing"

	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/telemetry"
)

// TestLinesThatAreMissing: lines that a sampler leaves out are counted by kind,
// also of a log with attributes of its own, and those that nobody has read.
func TestLinesThatAreMissing(t *testing.T) {
	m := telemetry.NewMetrics("v1")
	m.WatchLog(func() uint64 { return 17 })
	wantSeries(t, m, map[string]string{`log_dropped_total`: "17", `log_lines_total{level="info"}`: "0"})
	log := slog.New(m.CountLines(slog.NewTextHandler(t.Output(), nil)))
	s := logs.NewSampler(log.With("a", 1).WithGroup("g"), logs.Options{Burst: 2, Rate: 1e-9})
	for range 5 {
		s.Log(t.Context(), slog.LevelInfo, "bot_refused", logs.Peer{}, "BOT refused")
	}
	wantSeries(t, m, map[string]string{
		`log_lines_total{level="info"}`:            "2",
		`log_suppressed_total{kind="bot_refused"}`: "3",
	})
}
