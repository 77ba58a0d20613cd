package main_test

import (
	"encoding/hex"
	"strings"
	"syscall"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/spans"
)

// spanCollector takes one span after the other.
type spanCollector struct {
	*spans.Collector
	waiting []*tracepb.Span
}

func startSpanCollector(t *testing.T) *spanCollector {
	t.Helper()
	return &spanCollector{Collector: spans.Start(t)}
}

func (c *spanCollector) next(t *testing.T) *tracepb.Span {
	t.Helper()
	for deadline := time.After(patience); len(c.waiting) == 0; {
		select {
		case batch := <-c.Batches:
			for _, resource := range batch.GetResourceSpans() {
				for _, scope := range resource.GetScopeSpans() {
					c.waiting = append(c.waiting, scope.GetSpans()...)
				}
			}
		case <-deadline:
			t.Fatal("no span has come")
		}
	}
	span := c.waiting[0]
	c.waiting = c.waiting[1:]
	return span
}

// TestTraceCrossesTheGateway: on every transport, the handler sees the client's
// traceparent as it was, and the gateway's span is in the same trace. The last
// spans are sent when the gateway stops.
func TestTraceCrossesTheGateway(t *testing.T) {
	const (
		traceID  = "0af7651916cd43dd8448eb211c80319c"
		parentID = "b7ad6b7169203331"
		words    = `"traceparent":"00-` + traceID + `-` + parentID + `-01","tracestate":"vendor=5"`
	)
	collected := startSpanCollector(t)
	// A minute: only the stop sends what there is before.
	p := serve(t, []string{"--default-routes"}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collected.URL, "OTEL_BSP_SCHEDULE_DELAY=60000"})
	l := p.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	for _, via := range transports {
		client, handler := p.dial(t, via), p.dial(t, via)
		mustSend(t, client, flowMessage(`{"flow":"BOT","direction":"extract","credit":2,`+words+`}`))
		offer := l.offer(t)
		if !strings.Contains(offer.GetBot().GetLabel(), words) {
			t.Errorf("%s: the handler is offered %s, want %s in it", via, offer.GetBot().GetLabel(), words)
		}
		mustSend(t, handler, botMessage(zio.Inject, 2, offer.GetCid()))
		mustRecv(t, handler, zio.BOT)
		mustRecv(t, client, zio.BOT)
		client.leave()
		wantEOT(t, handler, flow.PeerGone, "")
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t, stopLimit); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d, want 0", code)
	}
	for range transports {
		span := collected.next(t)
		if got := hex.EncodeToString(span.GetTraceId()); got != traceID {
			t.Errorf("the span has trace %s, want the client's", got)
		}
		if got := hex.EncodeToString(span.GetParentSpanId()); got != parentID {
			t.Errorf("the span has parent %s, want the client's", got)
		}
		if span.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
			t.Errorf("the span of a flow whose client left has status %v", span.GetStatus())
		}
	}
}

// TestTracesLost: without the collector that it was told of, the gateway serves,
// stops in time and says what was lost.
func TestTracesLost(t *testing.T) {
	p := serve(t, []string{"--default-routes", "--otlp-endpoint=http://127.0.0.1:1"}, nil)
	l := p.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	f := p.openFlow(t, l, viaClient, viaDealer, zio.Extract, 2)
	f.cross(t, 2)
	f.end(t)
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t, stopLimit); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d, want 0", code)
	}
	// At the stop, or before it if that took long to come.
	if log := p.log.text(); !strings.Contains(log, "spans left behind") && !strings.Contains(log, "spans not exported") {
		t.Errorf("nobody was told that spans are lost:\n%s", log)
	}
}
