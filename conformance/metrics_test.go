package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
)

// scrape is what /metrics had at one moment, by series.
type scrape map[string]float64

func (p *program) scrape(t *testing.T) scrape {
	t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + p.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("/metrics answers %s, %v", response.Status, err)
	}
	s := scrape{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			if s[line[:i]], err = strconv.ParseFloat(line[i+1:], 64); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
	}
	return s
}

// scrapeUntil scrapes until the condition holds.
func (p *program) scrapeUntil(t *testing.T, what string, holds func(scrape) bool) (s scrape) {
	t.Helper()
	eventually(t, what, func() error {
		if s = p.scrape(t); !holds(s) {
			return fmt.Errorf("not yet: %v", s)
		}
		return nil
	})
	return s
}

// documented is one row of the table in docs/metrics.md.
type documented struct {
	name   string
	fixed  bool
	labels []string
}

func documentedMetrics(t *testing.T) []documented {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `((?:zio_gateway|grpc_server)_\\w+)` \\|([^|]*)\\|([^|]*)\\|")
	label := regexp.MustCompile("`(\\w+)`")
	var rows []documented
	for _, cells := range row.FindAllStringSubmatch(string(text), -1) {
		d := documented{name: cells[1], fixed: strings.Contains(cells[2], "fixed")}
		for _, name := range label.FindAllStringSubmatch(cells[3], -1) {
			d.labels = append(d.labels, name[1])
		}
		rows = append(rows, d)
	}
	return rows
}

// elsewhere are the metrics that nothing here can move, and the tests that do.
var elsewhere = map[string]string{
	"zio_gateway_panics_total":         "server: TestPanicInAHandler",
	"zio_gateway_auth_failures_total":  "telemetry: TestAuthFailures",
	"zio_gateway_log_suppressed_total": "TestLogFlood",
	"zio_gateway_log_dropped_total":    "TestLogReaderGone",

	"zio_gateway_reloads_total":            "TestIdentitiesReload",
	"zio_gateway_reloads_failing":          "TestIdentitiesReload",
	"zio_gateway_issuer_key_fetches_total": "TestSecured",
	"zio_gateway_nodes":                    "TestDiscoveryDocument", // these with discovery alone
	"zio_gateway_node_connecting":          "telemetry: TestNodeMetrics",
	"zio_gateway_node_beacons_total":       "telemetry: TestNodeMetrics",
	"zio_gateway_node_dropped_total":       "telemetry: TestNodeMetrics",
	"zio_gateway_node_panics_total":        "telemetry: TestNodeMetrics",

	"zio_gateway_certificate_not_after_timestamp_seconds":  "telemetry: TestCertificateMetrics", // these with TLS alone
	"zio_gateway_certificate_not_before_timestamp_seconds": "TestDashboard",

	"zio_gateway_cluster_info":                 "cluster: TestClusterMetrics", // these in a cluster alone
	"zio_gateway_cluster_nodes":                "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_node_silence_seconds": "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_node_listeners":       "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_node_routes":          "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_node_behind":          "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_flows":                "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_flows_carried_total":  "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_offers_passed_total":  "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_bytes_total":          "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_nodes_joined_total":   "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_nodes_left_total":     "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_nodes_refused_total":  "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_table_reads_total":    "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_nats_connected":       "telemetry: TestClusterMetrics",
	"zio_gateway_cluster_nats_routes":          "telemetry: TestClusterMetrics",

	"zio_gateway_waiting_readers":                "telemetry: TestBudgetMetrics",
	"zio_gateway_zmq_panics_total":               "telemetry: TestZMQMetrics",
	"zio_gateway_grpc_connections_crowded_total": "server: TestStrangersMakeRoom",
	"zio_gateway_grpc_connections_cut_total":     "server: TestCutConnectionsAreExplained",
}

// TestMetrics: every metric in the documentation exists and moves, and there is
// none of ours beside them.
func TestMetrics(t *testing.T) {
	notWithLibzmq(t, "does not say what becomes of connections")
	rows := documentedMetrics(t)
	if len(rows) < 30 {
		t.Fatalf("found only %d metrics in the documentation", len(rows))
	}
	collected := startSpanCollector(t)
	p := serve(t, []string{
		"--default-routes",
		"--otlp-endpoint=" + collected.URL, "--grpc-rate-limit=200", "--drain-grace=1m", "--pending-timeout=500ms",
		"--eot-timeout=500ms", "--max-message=4194304",
	}, []string{"OTEL_BSP_SCHEDULE_DELAY=50"})
	scrapes := []scrape{p.scrape(t)}
	scrapes = append(scrapes, p.driveZMQ(t)...)
	scrapes = append(scrapes, p.driveMetrics(t, collected)...)

	known := map[string]bool{}
	for _, row := range rows {
		known[row.name] = true
		series := seriesOf(row, scrapes[len(scrapes)-1])
		if elsewhere[row.name] != "" {
			continue
		}
		if len(series) == 0 {
			t.Errorf("%s with labels %v does not exist", row.name, row.labels)
		} else if moved := anyMoved(series, scrapes); moved == row.fixed {
			t.Errorf("%s: moves is %t, want %t", row.name, moved, !row.fixed)
		}
	}
	for series := range scrapes[len(scrapes)-1] {
		name, _, _ := strings.Cut(series, "{")
		base := regexp.MustCompile("_(bucket|sum|count)$").ReplaceAllString(name, "")
		if (strings.HasPrefix(name, "zio_") || strings.HasPrefix(name, "grpc_")) && !known[name] && !known[base] {
			t.Errorf("%s is not documented", name)
		}
	}
}

// seriesOf is a metric's series that have its labels.
func seriesOf(d documented, s scrape) (found []string) {
	for series := range s {
		name, labels, _ := strings.Cut(series, "{")
		if name != d.name && !strings.HasPrefix(name, d.name+"_") {
			continue
		}
		has := true
		for _, label := range d.labels {
			has = has && strings.Contains(","+labels, ","+label+"=")
		}
		if has {
			found = append(found, series)
		}
	}
	return found
}

func anyMoved(series []string, scrapes []scrape) bool {
	for _, name := range series {
		for _, s := range scrapes {
			if s[name] != scrapes[0][name] {
				// One that was not there before has moved if it is not 0.
				return true
			}
		}
	}
	return false
}

// driveMetrics has flows of all kinds come and go, and scrapes in between.
func (p *program) driveMetrics(t *testing.T, collected *spanCollector) (scrapes []scrape) {
	t.Helper()
	served := p.dial(t, viaDealer) // by generate
	mustSend(t, served, flowMessage(`{"flow":"BOT","direction":"inject","credit":2,"count":2}`))
	mustRecv(t, served, zio.BOT)
	scrapes = append(scrapes, p.scrape(t))
	mustSend(t, served, payMessage(2))

	l := p.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	before := p.scrape(t)
	p.endEveryWay(t, l)
	after := p.scrape(t)
	for _, reason := range []flow.Reason{
		flow.Completed, flow.Rejected, flow.HandlerTimeout, flow.PeerGone, flow.CreditViolation, flow.ProtocolError,
		flow.MessageTooLarge, flow.Restarted, flow.EOTTimeout,
	} {
		series := fmt.Sprintf(`zio_gateway_flows_ended_total{reason="%v"}`, reason)
		if after[series] <= before[series] {
			t.Errorf("%s has not moved", series)
		}
	}
	intruder := p.dial(t, viaClient)
	mustSend(t, intruder, botMessage(zio.Extract, 2, 77))
	wantEOT(t, intruder, flow.Rejected, "no offer")
	scrapes = append(scrapes, after, p.scrape(t))

	stalled := p.openFlow(t, l, viaClient, viaGRPC, zio.Extract, 40)
	mustSend(t, stalled.taker, payMessage(40))
	for paid := int64(0); paid < 40; {
		paid += mustRecv(t, stalled.giver, zio.PAY).Credit
		scrapes = append(scrapes, p.scrape(t))
	}
	for range 40 { // more than gRPC's window and everybody's buffers hold
		mustSend(t, stalled.giver, datMessage(make([]byte, 1<<20)))
	}
	scrapes = append(scrapes, p.scrapeUntil(t, "bytes waiting", func(s scrape) bool {
		return s["zio_gateway_queued_bytes"] > 0 && s["zio_gateway_queued_messages"] > 0
	}))
	if err := l.conn.Invoke(t.Context(), "/there.is/None", &gatewayv1.DeclineRequest{}, &gatewayv1.DeclineResponse{}); err == nil {
		t.Error("a method that there is not was called")
	}
	for limited := false; !limited; {
		_, err := l.handlers.Decline(t.Context(), &gatewayv1.DeclineRequest{Cid: 5})
		limited = strings.Contains(err.Error(), "too many calls")
	}
	p.signal(t, syscall.SIGTERM) // stalled keeps it draining
	scrapes = append(scrapes, p.scrapeUntil(t, "draining", func(s scrape) bool { return s["zio_gateway_draining"] == 1 }))
	stalled.giver.leave()
	collected.next(t)
	return append(scrapes, p.scrapeUntil(t, "spans", func(s scrape) bool {
		return s[`zio_gateway_spans_total{result="exported"}`] > 0
	}))
}

// driveZMQ has connections come that are not all as they should be, and scrapes in
// between.
func (p *program) driveZMQ(t *testing.T) (scrapes []scrape) {
	t.Helper()
	_, server, _ := strings.Cut(p.addresses[viaClient], "://")
	mute, lost := dialTCP(t, server), dialTCP(t, p.addresses[viaGRPC])
	if _, err := lost.Write([]byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f")); err != nil { // a ZeroMQ greeting
		t.Fatal(err)
	}
	scrapes = append(scrapes, p.scrapeUntil(t, "strangers", func(s scrape) bool {
		return s[`zio_gateway_zmq_handshaking{endpoint="zmq-server"}`] == 1 &&
			s[`zio_gateway_grpc_foreign_connections_total{protocol="zmtp"}`] == 1
	}))
	_ = mute.Close()

	giver := p.dial(t, viaClient)
	mustSend(t, giver, botMessage(zio.Extract, 2, 0)) // to dump
	mustRecv(t, giver, zio.BOT)
	mustRecv(t, giver, zio.PAY)
	mustSend(t, giver, datMessage(make([]byte, 8<<20)))
	wantEOT(t, giver, flow.MessageTooLarge, "")

	taker, err := native.DialLimited(native.Dealer, p.addresses[viaDealer], 1)
	if err != nil {
		t.Fatal(err)
	}
	// From generate: more than sockets hold.
	err = taker.Send(flowMessage(`{"flow":"BOT","direction":"inject","credit":20,"count":1000,"size":4000000}`))
	if err == nil {
		_, err = taker.Receive(patience)
	}
	if err = errors.Join(err, taker.Send(payMessage(20))); err != nil {
		t.Fatal(err)
	}
	scrapes = append(scrapes, p.scrapeUntil(t, "an outbox", func(s scrape) bool {
		return s[`zio_gateway_zmq_outbox_messages{endpoint="zmq-router"}`] > 0 &&
			s[`zio_gateway_zmq_outbox_bytes{endpoint="zmq-router"}`] > 0
	}))
	if err := taker.Close(0); err != nil {
		t.Error(err)
	}
	return append(scrapes, p.scrapeUntil(t, "its end", func(s scrape) bool {
		return s[`zio_gateway_zmq_connections_ended_total{cause="gone",endpoint="zmq-router"}`] > 0 &&
			s[`zio_gateway_zmq_handshakes_total{endpoint="zmq-server",outcome="left"}`] > 0
	}))
}

func dialTCP(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestMetricsWords: the outcomes and causes of ZeroMQ connections are those of the
// documentation, no more and no less.
func TestMetricsWords(t *testing.T) {
	notWithLibzmq(t, "does not say what becomes of connections")
	text, err := os.ReadFile(filepath.Join("..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, nil, nil).scrape(t)
	for label, name := range map[string]string{
		"outcome": "zio_gateway_zmq_handshakes_total", "cause": "zio_gateway_zmq_connections_ended_total",
	} {
		_, table, found := strings.Cut(string(text), "\n| `"+label+"` |")
		table, _, _ = strings.Cut(table, "\n\n")
		var documented, served []string
		for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(table, -1) {
			documented = append(documented, row[1])
		}
		for _, endpoint := range []string{"zmq-server", "zmq-router"} {
			served = served[:0]
			for series := range s {
				word := regexp.MustCompile(`^` + name + `\{.*\b` + label + `="(\w+)"`).FindStringSubmatch(series)
				if word != nil && strings.Contains(series, `endpoint="`+endpoint+`"`) {
					served = append(served, word[1])
				}
			}
			slices.Sort(documented)
			slices.Sort(served)
			if !found || len(served) == 0 || !slices.Equal(documented, served) {
				t.Errorf("%s of %s: documented are %v, served %v", label, endpoint, documented, served)
			}
		}
	}
}

// endEveryWay has a flow end for every reason that needs no special gateway.
func (p *program) endEveryWay(t *testing.T, l *listener) {
	t.Helper()
	open := func() *activeFlow { return p.openFlow(t, l, viaClient, viaGRPC, zio.Extract, 2) }
	f := open()
	f.cross(t, 3)
	f.end(t)

	pending := p.dial(t, viaClient)
	mustSend(t, pending, botMessage(zio.Extract, 2, 0))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := l.handlers.Decline(ctx, &gatewayv1.DeclineRequest{Cid: l.offer(t).GetCid()}); err != nil {
		t.Fatal(err)
	}
	wantEOT(t, pending, flow.Rejected, "declined")
	l.next(t) // withdrawn
	mustSend(t, pending, botMessage(zio.Extract, 2, 0))
	l.offer(t)
	wantEOT(t, pending, flow.HandlerTimeout, "all")
	l.next(t)

	for _, end := range []struct {
		reason flow.Reason
		how    func(f *activeFlow)
	}{
		{flow.PeerGone, func(f *activeFlow) { f.client.leave() }},
		{flow.CreditViolation, func(f *activeFlow) { mustSend(t, f.client, datMessage()) }},
		{flow.ProtocolError, func(f *activeFlow) { mustSend(t, f.client, payMessage(1)) }},
		{flow.MessageTooLarge, func(f *activeFlow) { mustSend(t, f.client, datMessage(make([]byte, 4<<20+1))) }},
		{flow.Restarted, func(f *activeFlow) { mustSend(t, f.client, botMessage(zio.Extract, 2, 0)) }},
	} {
		f := open()
		end.how(f)
		wantEOT(t, f.handler, end.reason, "")
	}
	l.offer(t) // of the flow that was begun anew
	l.next(t)

	f = open()
	mustSend(t, f.client, eotMessage())
	mustRecv(t, f.handler, zio.EOT)
	wantEOT(t, f.client, flow.EOTTimeout, "not answered")
}

// TestMetricsDocument runs the console blocks of docs/metrics.md as printed.
func TestMetricsDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := consoleBlocks(string(text))
	if len(blocks) < 2 {
		t.Fatalf("found only %d console blocks", len(blocks))
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ready := serve(t, nil, nil).readAddresses(t)
	doc := &document{
		t: t, ctx: ctx, root: root, cids: map[string]string{}, terminals: map[string]*terminal{},
		addresses: strings.NewReplacer("127.0.0.1:7575", ready.GRPC, "127.0.0.1:7576", ready.HTTP),
	}
	for _, b := range blocks {
		doc.run(b)
	}
}
