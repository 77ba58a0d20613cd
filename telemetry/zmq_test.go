package telemetry_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/telemetry"
)

// TestZMQMetrics: each scrape has what the front says just then.
func TestZMQMetrics(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1")
	endpoints := []telemetry.ZMQEndpoint{
		{
			Name: "zmq-server", Connections: 1, Handshaking: 2,
			Handshakes: map[string]uint64{"ok": 3, "slow": 0}, Ended: map[string]uint64{"gone": 4},
			BytesIn: 5, BytesOut: 6, OutboxMessages: 7, OutboxBytes: 8, TooLarge: 9,
		},
		{Name: "zmq-router"},
	}
	panics := uint64(0)
	m.WatchZMQ(func() []telemetry.ZMQEndpoint { return endpoints }, func() uint64 { return panics })
	want := map[string]string{
		`zmq_connections{endpoint="zmq-server"}`:                          "1",
		`zmq_handshaking{endpoint="zmq-server"}`:                          "2",
		`zmq_handshakes_total{endpoint="zmq-server",outcome="ok"}`:        "3",
		`zmq_handshakes_total{endpoint="zmq-server",outcome="slow"}`:      "0",
		`zmq_connections_ended_total{cause="gone",endpoint="zmq-server"}`: "4",
		`zmq_bytes_total{direction="in",endpoint="zmq-server"}`:           "5",
		`zmq_bytes_total{direction="out",endpoint="zmq-server"}`:          "6",
		`zmq_outbox_messages{endpoint="zmq-server"}`:                      "7",
		`zmq_outbox_bytes{endpoint="zmq-server"}`:                         "8",
		`zmq_too_large_total{endpoint="zmq-server"}`:                      "9",
		`zmq_connections{endpoint="zmq-router"}`:                          "0",
		`zmq_panics_total`:                                                "0",
	}
	wantSeries(t, m, want)
	endpoints[0].Connections, endpoints[0].Handshakes["slow"], panics = 10, 11, 12
	want[`zmq_connections{endpoint="zmq-server"}`] = "10"
	want[`zmq_handshakes_total{endpoint="zmq-server",outcome="slow"}`] = "11"
	want[`zmq_panics_total`] = "12"
	wantSeries(t, m, want)

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

// TestBudgetMetrics: what is charged, what may be, and who waits.
func TestBudgetMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := telemetry.NewMetrics("v1")
		options := broker.DefaultOptions()
		options.MaxMessage, options.MaxBytes, options.MaxFlowBytes = 100, 1000, 1000
		b, err := broker.New(options)
		if err != nil {
			t.Fatal(err)
		}
		m.Watch(b)
		one, other := attach(t, b), attach(t, b)
		one.Bytes().Add(990)
		other.Bytes().Add(5)
		wantSeries(t, m, map[string]string{`held_bytes`: "995", `held_bytes_limit`: "1000", `waiting_readers`: "0"})
		charged := make(chan bool)
		go func() { charged <- other.Bytes().Charge(10, 0, nil) }()
		synctest.Wait()
		wantSeries(t, m, map[string]string{`held_bytes`: "995", `waiting_readers`: "1"})
		one.Bytes().Release(990)
		<-charged
		wantSeries(t, m, map[string]string{`held_bytes`: "15", `waiting_readers`: "0"})
		one.Leave("done")
		other.Leave("done")
	})
}
