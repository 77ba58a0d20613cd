package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/server/admin"
)

// lines is a JSON log that a test waits for.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer  // guarded by mu
	more chan struct{} // guarded by mu; closed by the next line
}

func newLines() *lines { return &lines{more: make(chan struct{})} }

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
	return l.text.Write(p)
}

// await answers the first line with that message.
func (l *lines) await(ctx context.Context, t *testing.T, message string) map[string]any {
	t.Helper()
	for {
		l.mu.Lock()
		text, more := l.text.String(), l.more
		l.mu.Unlock()
		for line := range strings.Lines(text) {
			var read map[string]any
			if err := json.Unmarshal([]byte(line), &read); err != nil {
				t.Fatal(err)
			}
			if read["msg"] == message {
				return read
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("nobody logged %q:\n%s", message, text)
		}
	}
}

// count is how many lines have that message.
func (l *lines) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), `"msg":"`+message+`"`)
}

// process stands for a program of which nothing is asked.
type process struct{ admin.Process }

// Status implements admin.Process: there is no cluster.
func (process) Status() admin.ProcessStatus { return admin.ProcessStatus{} }

// panicking is an observer that fails when a flow begins, which the stream's handler
// tells it.
type panicking struct{}

func (panicking) Observe(e broker.Event) {
	if e.Flow.Phase == flow.Pending {
		panic("an observer that fails")
	}
}

// TestPanicInAHandler: the call is INTERNAL, the log has its flow and the place,
// the flow is over, and the server goes on.
func TestPanicInAHandler(t *testing.T) {
	log, registry := newLines(), prometheus.NewPedanticRegistry()
	f := startWith(t, func(o *broker.Options) { o.Observers = []broker.Observer{panicking{}} },
		func(o *server.Options) { o.Log, o.Registry = log.logger(), registry })
	stream := f.open(t, taking(1))
	if _, err := stream.Recv(); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "an observer") {
		t.Errorf("the caller got %v, want INTERNAL and no more", err)
	}
	line := log.await(f.ctx, t, "call failed")
	if line["level"] != "ERROR" || line["error"] != "an observer that fails" || line["flow"] != 1.0 ||
		!strings.Contains(line["stack"].(string), "panicking.Observe") {
		t.Errorf("the log has %v", line)
	}
	ended := log.await(f.ctx, t, "call ended")
	if ended["code"] != "Internal" || ended["level"] != "WARN" {
		t.Errorf("the log has %v", ended)
	}
	info := f.broker.Flows()[0]
	if info.Phase != flow.Ended || info.Reason != flow.PeerGone {
		t.Errorf("the flow is %v, %v", info.Phase, info.Reason)
	}
	if n := metric(t, registry, "zio_gateway_panics_total"); n != 1 {
		t.Errorf("%v panics were counted", n)
	}
}

// fragile is a handler's link that fails when it is given a DAT.
type fragile struct{ *transport.Outbox }

func (l fragile) Deliver(d transport.Delivery) error {
	if d.Type == zio.DAT {
		panic("a link that fails")
	}
	return l.Outbox.Deliver(d)
}

// accepting is a factory whose handlers have fragile links and pay at once.
type accepting struct{ broker *broker.Broker }

func (a accepting) Find(_ context.Context, r *routing.Request) error {
	offer, err := r.Offer()
	if err != nil {
		return err
	}
	peer := a.broker.Attach(fragile{transport.NewOutbox(100)}, transport.PeerInfo{Transport: "builtin"})
	m := *offer.Bot
	peer.Receive(&m)
	pay := m
	pay.Label = []byte(`{"flow":"PAY","credit":1}`)
	peer.Receive(&pay)
	return nil
}

// TestPanicInAReader is the same in the goroutine that reads from a stream.
func TestPanicInAReader(t *testing.T) {
	log := newLines()
	f := startWith(t, nil, func(o *server.Options) { o.Log = log.logger() })
	if _, err := f.broker.AddRoute(routing.Route{Name: "fragile", Factory: accepting{f.broker}}); err != nil {
		t.Fatal(err)
	}
	stream := f.open(t, giving(1))
	awaitCredit(t, stream)
	send(t, stream, dat(&gatewayv1.Dat{Payload: [][]byte{{1}}}))
	var err error
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Internal {
		t.Errorf("Open ended with %v, want INTERNAL", err)
	}
	line := log.await(f.ctx, t, "call failed")
	if line["error"] != "a link that fails" || line["flow"] != 1.0 || !strings.Contains(line["stack"].(string), "fragile.Deliver") {
		t.Errorf("the log has %v", line)
	}

	put, err := f.flows.Put(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = put.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{Credit: 1}}})
	_ = put.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{{1}}}}})
	if _, err := put.CloseAndRecv(); status.Code(err) != codes.Internal {
		t.Errorf("Put ended with %v, want INTERNAL", err)
	}
}

// TestCallsAreLogged: one line for each call, with method, code, duration and
// peer, at the level that it deserves.
func TestCallsAreLogged(t *testing.T) {
	log, registry := newLines(), prometheus.NewPedanticRegistry()
	f := startWith(t, nil, func(o *server.Options) { o.Log, o.Registry = log.logger(), registry })
	if _, err := f.handlers.Decline(f.ctx, &gatewayv1.DeclineRequest{Cid: 4}); status.Code(err) != codes.NotFound {
		t.Fatal(err)
	}
	line := log.await(f.ctx, t, "call ended")
	if line["level"] != "DEBUG" || line["method"] != gatewayv1.HandlerService_Decline_FullMethodName ||
		line["code"] != "NotFound" || line["peer"] != "grpc bufconn" || !strings.HasPrefix(line["agent"].(string), "grpc-go/") || line["duration"] == nil ||
		!strings.Contains(line["error"].(string), "no offer has this cid") {
		t.Errorf("the log has %v", line)
	}
	if want := 9; len(line) != want {
		t.Errorf("the line has %d attributes, want %d: %v", len(line), want, line)
	}
	for name, want := range map[string]float64{
		"grpc_server_handled_total": 1, "grpc_server_msg_received_total": 1, "zio_gateway_rate_limited_calls_total": 0,
	} {
		if got := metric(t, registry, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func TestListenIsLoggedAtInfo(t *testing.T) {
	log := newLines()
	f := startWith(t, nil, func(o *server.Options) { o.Log = log.logger() })
	ctx, cancel := context.WithCancel(f.ctx)
	stream, err := f.handlers.Listen(ctx, &gatewayv1.ListenRequest{Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	line := log.await(f.ctx, t, "call ended")
	if line["level"] != "INFO" || line["code"] != "Canceled" {
		t.Errorf("the log has %v", line)
	}
}

// TestRateLimit: what is beyond the limit is refused and told when to come
// again; health checks always pass, and a new limit counts at once.
func TestRateLimit(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	f := startWith(t, nil, func(o *server.Options) {
		o.RateLimits, o.Registry = server.RateLimits{Total: 0.001}, registry
	})
	decline := func() error {
		_, err := f.handlers.Decline(f.ctx, &gatewayv1.DeclineRequest{Cid: 4})
		return err
	}
	if err := decline(); status.Code(err) != codes.NotFound {
		t.Errorf("the first call got %v", err)
	}
	requireRetry(t, decline(), 900*time.Second)
	stream, err := f.flows.Open(f.ctx)
	if err == nil {
		_, err = stream.Recv()
	}
	requireRetry(t, err, 900*time.Second)
	if _, err := healthpb.NewHealthClient(f.conn).Check(f.ctx, &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("the health check got %v", err)
	}
	if n := metric(t, registry, "zio_gateway_rate_limited_calls_total"); n != 2 {
		t.Errorf("%v calls were counted", n)
	}

	f.server.SetRateLimits(server.RateLimits{Peer: 0.001})
	if err := decline(); status.Code(err) != codes.NotFound {
		t.Errorf("the first call under a new limit got %v", err)
	}
	f.server.SetRateLimits(server.RateLimits{Peer: 0.001}) // the same
	requireRetry(t, decline(), 900*time.Second)
	f.server.SetRateLimits(server.RateLimits{})
	for range 100 {
		if err := decline(); status.Code(err) != codes.NotFound {
			t.Fatalf("a call without limit got %v", err)
		}
	}
}

func requireRetry(t *testing.T, err error, least time.Duration) {
	t.Helper()
	if status.Code(err) != codes.ResourceExhausted {
		t.Fatalf("got %v, want RESOURCE_EXHAUSTED", err)
	}
	for _, detail := range status.Convert(err).Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			if wait := retry.GetRetryDelay().AsDuration(); wait < least {
				t.Errorf("told to try again after %v, want %v or more", wait, least)
			}
			return
		}
	}
	t.Errorf("%v has no RetryInfo", err)
}

// TestValidation: every field that breaks a rule of the contract is named, for
// calls of both kinds.
func TestValidation(t *testing.T) {
	f := startWith(t, nil, func(o *server.Options) { o.Process = process{} })
	admin := gatewayv1.NewAdminServiceClient(f.conn)
	_, err := admin.ListFlows(f.ctx, &gatewayv1.ListFlowsRequest{
		PageSize: -1, States: []gatewayv1.FlowState{0}, PageToken: strings.Repeat("x", 257),
	})
	requireFields(t, err, "page_size", "states[0]", "page_token")
	watch, err := admin.WatchFlows(f.ctx, &gatewayv1.WatchFlowsRequest{Filter: strings.Repeat("x", 4097)})
	if err == nil {
		_, err = watch.Recv()
	}
	requireFields(t, err, "filter")
}

func requireFields(t *testing.T, err error, want ...string) {
	t.Helper()
	if status.Code(err) != codes.InvalidArgument {
		t.Fatalf("got %v, want INVALID_ARGUMENT", err)
	}
	missing := map[string]bool{}
	for _, field := range want {
		missing[field] = true
	}
	for _, detail := range status.Convert(err).Details() {
		bad, ok := detail.(*errdetails.BadRequest)
		if !ok {
			t.Errorf("unexpected detail %v", detail)
			continue
		}
		for _, violation := range bad.GetFieldViolations() {
			if !missing[violation.GetField()] || violation.GetDescription() == "" {
				t.Errorf("unexpected violation %v", violation)
			}
			delete(missing, violation.GetField())
		}
	}
	if len(missing) > 0 {
		t.Errorf("%v does not name %v", err, missing)
	}
}

// TestHealthOfEachService: a drain shows in the health of every service.
func TestHealthOfEachService(t *testing.T) {
	f := start(t, nil)
	health := healthpb.NewHealthClient(f.conn)
	requireHealth := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", "zio.gateway.v1.FlowService", "zio.gateway.v1.HandlerService"} {
			answer, err := health.Check(f.ctx, &healthpb.HealthCheckRequest{Service: service})
			if err != nil || answer.GetStatus() != want {
				t.Errorf("%q is %v, %v, want %v", service, answer.GetStatus(), err, want)
			}
		}
	}
	requireHealth(healthpb.HealthCheckResponse_SERVING)
	_, err := health.Check(f.ctx, &healthpb.HealthCheckRequest{Service: "zio.gateway.v1.Nothing"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service got %v", err)
	}
	f.server.Drain()
	requireHealth(healthpb.HealthCheckResponse_NOT_SERVING)
}

// metric is the sum of a metric's series.
func metric(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if n, lint := testutil.GatherAndLint(registry); err != nil || lint != nil {
		t.Fatal(errors.Join(err, lint), n)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
