package telemetry_test

import (
	"cmp"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/spans"
	"github.com/zioflow/gateway/telemetry"
)

// collector is an OpenTelemetry collector that keeps what it is sent.
type collector struct{ *spans.Collector }

func startCollector(t *testing.T, options ...grpc.ServerOption) *collector {
	t.Helper()
	return &collector{spans.Start(t, options...)}
}

// spans returns all that has come, in the order of their flows, and the
// attributes of who sent them.
func (c *collector) spans() (spans []*tracepb.Span, resource string) {
	for {
		select {
		case batch := <-c.Batches:
			for _, r := range batch.GetResourceSpans() {
				resource = attributes(r.GetResource().GetAttributes())
				for _, scope := range r.GetScopeSpans() {
					spans = append(spans, scope.GetSpans()...)
				}
			}
		default:
			slices.SortFunc(spans, func(a, b *tracepb.Span) int {
				return cmp.Compare(a.GetStartTimeUnixNano(), b.GetStartTimeUnixNano())
			})
			return spans, resource
		}
	}
}

// attributes are pairs in alphabetical order, a line each.
func attributes(pairs []*commonpb.KeyValue) string {
	lines := make([]string, len(pairs))
	for i, pair := range pairs {
		text := pair.GetValue().GetStringValue()
		if _, isText := pair.GetValue().GetValue().(*commonpb.AnyValue_StringValue); !isText {
			text = strings.TrimPrefix(pair.GetValue().String(), "int_value:")
		}
		lines[i] = pair.GetKey() + "=" + text
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// export starts traces that go to a collector by gRPC, which is waited for.
func export(t *testing.T, endpoint string, m *telemetry.Metrics) *telemetry.Traces {
	t.Helper()
	traces := exportBy(t, telemetry.ExportOptions{Endpoint: endpoint, Metrics: m})
	traces.WaitFor(patience)
	return traces
}

// exportBy starts them as the options say.
func exportBy(t *testing.T, o telemetry.ExportOptions) *telemetry.Traces {
	t.Helper()
	o.Version, o.Log = "v1", cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	traces, err := telemetry.Export(t.Context(), o)
	if err != nil || traces == nil {
		t.Fatalf("got %v, %v", traces, err)
	}
	return traces
}

// TestTraces runs three flows: one that continues a trace and completes, one
// whose peer goes, one that finds no handler.
func TestTraces(t *testing.T) {
	to := startCollector(t)
	m := telemetry.NewMetrics("v1")
	traces := export(t, to.URL, m)
	b, stop := newBroker(t, m, traces)

	attach(t, b).take(`,"count":3,"size":100,` +
		`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"vendor=5"`)
	c := attach(t, b)
	c.send(`{"flow":"BOT","direction":"extract","credit":2,"traceparent":"nonsense"}`)
	c.await(zio.PAY)
	c.send(`{"flow":"DAT"}`, []byte("data"))
	c.Leave("connection closed")
	c = attach(t, b)
	c.send(`{"flow":"BOT","direction":"inject","credit":5,"count":"many","traceparent":5}`)
	c.await(zio.EOT)
	stop()
	if err := traces.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	spans, resource := to.spans()
	if len(spans) != 3 {
		t.Fatalf("%d spans came, want 3", len(spans))
	}
	for _, want := range []string{"service.name=zio-gateway", "service.version=v1"} {
		if !strings.Contains(resource, want) {
			t.Errorf("the spans come from\n%s\nwant %s", resource, want)
		}
	}
	done, gone, refused := spans[0], spans[1], spans[2]
	wantSpan(t, done, "pending active half-closed", tracepb.Status_STATUS_CODE_UNSET, "", `
zio.bytes=300
zio.client=grpc tester
zio.credit=5
zio.direction=inject
zio.flow.id=1
zio.handler=builtin generate
zio.messages=3
zio.reason=completed`)
	if id := hex.EncodeToString(done.GetTraceId()); id != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("the first span has trace %s, not its BOT's", id)
	}
	if id := hex.EncodeToString(done.GetParentSpanId()); id != "b7ad6b7169203331" {
		t.Errorf("the first span has parent %s, not its BOT's", id)
	}
	if state := done.GetTraceState(); state != "vendor=5" {
		t.Errorf("the first span has trace state %q, not its BOT's", state)
	}
	wantSpan(t, gone, "pending active", tracepb.Status_STATUS_CODE_ERROR, "peer_gone: the client left: connection closed", `
zio.bytes=4
zio.client=grpc tester
zio.credit=2
zio.direction=extract
zio.flow.id=2
zio.handler=builtin dump
zio.messages=1
zio.reason=peer_gone`)
	for _, s := range []*tracepb.Span{gone, refused} {
		if len(s.GetParentSpanId()) > 0 || hex.EncodeToString(s.GetTraceId()) == hex.EncodeToString(done.GetTraceId()) {
			t.Errorf("%v has a parent, though its BOT has none that makes sense", s)
		}
	}
	if status := refused.GetStatus(); status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || !strings.HasPrefix(status.GetMessage(), "rejected: ") {
		t.Errorf("the third span has status %v", status)
	}
	wantSeries(t, m, map[string]string{
		`spans_total{result="ended"}`: "3", `spans_total{result="exported"}`: "3", `spans_total{result="failed"}`: "0",
	})
}

func wantSpan(t *testing.T, s *tracepb.Span, events string, code tracepb.Status_StatusCode, why, pairs string) {
	t.Helper()
	if s.GetName() != "zio.flow" || s.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("the span is %s of kind %v", s.GetName(), s.GetKind())
	}
	var names []string
	for _, e := range s.GetEvents() {
		names = append(names, e.GetName())
		if e.GetTimeUnixNano() < s.GetStartTimeUnixNano() || e.GetTimeUnixNano() > s.GetEndTimeUnixNano() {
			t.Errorf("%s lies outside the span", e.GetName())
		}
	}
	if got := strings.Join(names, " "); got != events {
		t.Errorf("the events are %s, want %s", got, events)
	}
	if status := s.GetStatus(); status.GetCode() != code || status.GetMessage() != why {
		t.Errorf("the status is %v, want %v %q", status, code, why)
	}
	// Which route it was is another test's matter.
	rest := slices.DeleteFunc(s.GetAttributes(), func(pair *commonpb.KeyValue) bool { return pair.GetKey() == "zio.route" })
	if got := attributes(rest); got != strings.TrimPrefix(pairs, "\n") {
		t.Errorf("the attributes are\n%s\nwant%s", got, pairs)
	}
}

// TestUnsampledTrace: a client whose own trace is not recorded gets no span.
func TestUnsampledTrace(t *testing.T) {
	to := startCollector(t)
	m := telemetry.NewMetrics("v1")
	traces := export(t, to.URL, m)
	b, stop := newBroker(t, m, traces)
	attach(t, b).take(`,"count":1,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"`)
	stop()
	if err := traces.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if spans, _ := to.spans(); len(spans) > 0 {
		t.Errorf("got %v", spans)
	}
	wantSeries(t, m, map[string]string{`spans_total{result="ended"}`: "0"})
}

// TestSpanHasRoute: the route that a flow took is in its span.
func TestSpanHasRoute(t *testing.T) {
	to := startCollector(t)
	traces := export(t, to.URL, telemetry.NewMetrics("v1"))
	f := &relay.Info{ID: 1, Opened: time.Now(), Phase: flow.Ended, Reason: flow.Overloaded, Route: "mine"}
	traces.Observe(broker.Event{Time: time.Now(), Flow: f})
	if err := traces.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans, _ := to.spans()
	if len(spans) != 1 || !strings.Contains(attributes(spans[0].GetAttributes()), "zio.route=mine") {
		t.Errorf("got %v", spans)
	}
}

// TestTracesAreOptional: nobody pays for what nobody asked for; OpenTelemetry's
// own variables ask, too.
func TestTracesAreOptional(t *testing.T) {
	for _, c := range []struct {
		name     string
		variable [2]string
		endpoint string
		want     bool
	}{
		{"nothing", [2]string{}, "", false},
		{"option", [2]string{}, "http://127.0.0.1:1", true},
		{"endpoint", [2]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"}, "", true},
		{"traces endpoint", [2]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1"}, "", true},
		{"disabled", [2]string{"OTEL_SDK_DISABLED", "true"}, "http://127.0.0.1:1", false},
		{"no exporter", [2]string{"OTEL_TRACES_EXPORTER", "none"}, "http://127.0.0.1:1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.variable[0] != "" {
				t.Setenv(c.variable[0], c.variable[1])
			}
			o := telemetry.ExportOptions{Endpoint: c.endpoint, Metrics: telemetry.NewMetrics(""), Log: slog.Default()}
			traces, err := telemetry.Export(t.Context(), o)
			if err != nil || (traces != nil) != c.want {
				t.Errorf("got %v, %v", traces, err)
			}
			if traces != nil {
				_ = traces.Close(t.Context())
			}
		})
	}
}

func TestEndpointIsAURL(t *testing.T) {
	for _, bad := range []string{"127.0.0.1:4317", "grpc://127.0.0.1:4317", "http://", "::"} {
		if err := (telemetry.ExportOptions{Endpoint: bad}).Validate(); err == nil || !strings.Contains(err.Error(), "otlp-endpoint") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := (telemetry.ExportOptions{Endpoint: "https://collector:4317"}).Validate(); err != nil {
		t.Error(err)
	}
}
