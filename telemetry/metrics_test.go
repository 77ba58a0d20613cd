package telemetry_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/telemetry"
)

// scrape answers the series with that prefix, by name and labels.
func scrape(t *testing.T, m *telemetry.Metrics) map[string]string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	series := map[string]string{}
	for line := range strings.Lines(answer.Body.String()) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), " "); found && strings.HasPrefix(name, "zio_") {
			series[strings.TrimPrefix(name, "zio_gateway_")] = value
		}
	}
	return series
}

func wantSeries(t *testing.T, m *telemetry.Metrics, want map[string]string) {
	t.Helper()
	got := scrape(t, m)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

// awaitSeries waits until a series has that value.
func awaitSeries(t *testing.T, m *telemetry.Metrics, name, value string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); ; {
		got := scrape(t, m)[name]
		if got == value {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s stays %q, want %q", name, got, value)
		}
	}
}

// TestFlowMetrics drives a flow step by step; each shows at once.
func TestFlowMetrics(t *testing.T) {
	m := telemetry.NewMetrics("v1")
	b, stop := newBroker(t, m)
	m.Watch(b)
	c := attach(t, b)
	wantSeries(t, m, map[string]string{
		`build_info{goversion="` + runtime.Version() + `",version="v1"}`: "1",
		`peers{transport="grpc"}`:               "1",
		`flows{state="active"}`:                 "0",
		`flows_ended_total{reason="peer_gone"}`: "0",
		`flows_limit`:                           "20000",
	})

	c.take(`,"count":3,"size":100`)
	wantSeries(t, m, map[string]string{
		`flows_opened_total`:                        "1",
		`flows_ended_total{reason="completed"}`:     "1",
		`flows{state="active"}`:                     "0",
		`messages_total{from="client"}`:             "3", // BOT PAY EOT
		`messages_total{from="handler"}`:            "5", // BOT DAT DAT DAT EOT
		`bytes_total{from="handler"}`:               "300",
		`dats_total{from="handler"}`:                "3",
		`dats_total{from="client"}`:                 "0",
		`dat_size_bytes_bucket{le="64"}`:            "0",
		`dat_size_bytes_bucket{le="256"}`:           "3",
		`dat_size_bytes_bucket{le="+Inf"}`:          "3",
		`dat_size_bytes_sum`:                        "300",
		`flow_duration_seconds_count`:               "1",
		`offers_made_total`:                         "1",
		`bots_refused_total{reason="rejected"}`:     "0",
		`bots_refused_total{reason="handler_gone"}`: "",
	})

	c.Leave("done")
	awaitSeries(t, m, `peers{transport="builtin"}`, "0") // it leaves when it has read the EOT
	c = attach(t, b)
	c.send(`{"flow":"BOT","direction":"inject","credit":5}`)
	c.await(zio.BOT)
	other := attach(t, b)
	other.send(`{"flow":"BOT","direction":"inject","credit":5,"cid":77}`)
	other.await(zio.EOT)
	wantSeries(t, m, map[string]string{
		`flows{state="active"}`:                 "1",
		`credit{where="held"}`:                  "0",
		`credit{where="outstanding"}`:           "5",
		`peers{transport="grpc"}`:               "2",
		`peers{transport="builtin"}`:            "1",
		`bots_refused_total{reason="rejected"}`: "1",
		`draining`:                              "0",
	})
	other.Leave("done")
	c.Leave("done")
	stop()
	wantSeries(t, m, map[string]string{
		`flows{state="active"}`:                 "0",
		`flows_ended_total{reason="peer_gone"}`: "1",
		`peers{transport="grpc"}`:               "0",
		`draining`:                              "1",
	})
	if scrape(t, m)[`stalled_seconds_total{side="taker"}`] == "0" {
		t.Error("nobody has waited for the taker, who has not paid")
	}
}

// TestLint: the metrics are named as Prometheus wants them.
func TestLint(t *testing.T) {
	m := telemetry.NewMetrics("v1")
	b, _ := newBroker(t, m)
	m.Watch(b)
	m.AuthFailed("grpc", "no_token")
	answer := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	problems, err := promlint.New(answer.Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "zio_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
}

func TestAuthFailures(t *testing.T) {
	m := telemetry.NewMetrics("v1")
	m.AuthCauses("zmq", "unknown_key")
	m.AuthFailed("grpc", "no_token")
	m.AuthFailed("grpc", "no_token")
	wantSeries(t, m, map[string]string{
		`auth_failures_total{cause="no_token",front="grpc"}`:   "2",
		`auth_failures_total{cause="unknown_key",front="zmq"}`: "0",
	})
}

// TestCountLines: what is not logged is not counted, and what a logger was given
// before does not matter.
func TestCountLines(t *testing.T) {
	m := telemetry.NewMetrics("v1")
	log := slog.New(m.CountLines(slog.NewTextHandler(discard{}, nil)))
	log.Debug("not logged")
	log.Info("one")
	log.With("key", "value").WithGroup("group").Warn("two")
	log.Log(t.Context(), slog.LevelInfo+1, "three")
	log.Log(t.Context(), slog.LevelError+4, "four")
	log.Log(t.Context(), slog.LevelDebug-4, "not logged")
	wantSeries(t, m, map[string]string{
		`log_lines_total{level="debug"}`: "0",
		`log_lines_total{level="info"}`:  "2",
		`log_lines_total{level="warn"}`:  "1",
		`log_lines_total{level="error"}`: "1",
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkScrape is what one costs with 10,000 flows.
func BenchmarkScrape(b *testing.B) {
	m := telemetry.NewMetrics("v1")
	options := broker.DefaultOptions()
	options.MaxPending, options.PendingTimeout = 10_000, time.Hour
	core, err := broker.New(options)
	if err != nil {
		b.Fatal(err)
	}
	m.Watch(core)
	if _, err := core.AddRoute(routing.Route{Name: "slow", Factory: slow{}}); err != nil {
		b.Fatal(err)
	}
	for range 10_000 {
		outbox := transport.NewOutbox(10)
		core.Attach(outbox, transport.PeerInfo{Transport: "grpc"}).Receive(&zio.Message{
			Form: zio.FormFlow, Label: []byte(`{"flow":"BOT","direction":"inject","credit":5}`),
		})
	}
	handler := m.Handler(slog.New(slog.DiscardHandler))
	for b.Loop() {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
	core.Close(flow.Draining, "")
}

// slow is a factory whose handlers take their time.
type slow struct{}

func (slow) Find(context.Context, *routing.Request) error { return nil }
