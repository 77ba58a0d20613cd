package telemetry_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/internal/pki"
	"github.com/zioflow/gateway/internal/spans"
	"github.com/zioflow/gateway/telemetry"
)

// startHTTPCollector is a collector that takes http/protobuf at that path, over TLS if
// there is a configuration for it.
func startHTTPCollector(t *testing.T, path string, encrypted ...*tls.Config) *collector {
	t.Helper()
	c := &collector{&spans.Collector{Batches: make(chan *collectorpb.ExportTraceServiceRequest, 100)}}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		batch := new(collectorpb.ExportTraceServiceRequest)
		if r.URL.Path != path || r.Header.Get("Content-Type") != "application/x-protobuf" || err != nil || proto.Unmarshal(text, batch) != nil {
			http.Error(w, "not here, or not so: "+r.URL.Path, http.StatusNotFound)
			return
		}
		c.Batches <- batch
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	if len(encrypted) > 0 {
		s.Config.ErrorLog = stdlog.New(io.Discard, "", 0)
		s.TLS = encrypted[0].Clone()
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	c.URL = s.URL
	return c
}

// TestProtocols: options and OpenTelemetry's variables, the special before the general
// ones, say over what OTLP is spoken, and where.
func TestProtocols(t *testing.T) {
	const (
		all, traces                 = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
		allProtocol, tracesProtocol = "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
		http, path                  = "http/protobuf", "/v1/traces"
	)
	for name, c := range map[string]struct {
		path               string // at which HTTP takes spans; empty for gRPC
		endpoint, protocol string // options; what follows the collector's address
		env                map[string]string
	}{
		"gRPC by default":               {endpoint: "/"},
		"gRPC, asked for":               {endpoint: "/", protocol: "grpc", env: map[string]string{allProtocol: http}},
		"HTTP":                          {path: path, endpoint: "/", protocol: http},
		"HTTP, another path":            {path: "/otel" + path, endpoint: "/otel", protocol: http},
		"HTTP, the whole path":          {path: path, endpoint: path, protocol: http},
		"HTTP by the environment":       {path: path, endpoint: "/", env: map[string]string{allProtocol: http}},
		"all of it by the environment":  {path: "/a" + path, env: map[string]string{allProtocol: http, all: "/a"}},
		"traces before all":             {path: "/b", env: map[string]string{allProtocol: "grpc", tracesProtocol: http, all: "/a", traces: "/b"}},
		"gRPC by the environment":       {env: map[string]string{all: "/"}},
		"an empty variable is none":     {endpoint: "/", env: map[string]string{allProtocol: ""}},
		"the option before environment": {path: path, endpoint: "/", protocol: http, env: map[string]string{tracesProtocol: "grpc"}},
	} {
		t.Run(name, func(t *testing.T) {
			to := startCollector(t)
			if c.path != "" {
				to = startHTTPCollector(t, c.path)
			}
			for variable, value := range c.env {
				if strings.HasPrefix(value, "/") {
					value = to.URL + value
				}
				t.Setenv(variable, value)
			}
			o := telemetry.ExportOptions{Protocol: c.protocol, Metrics: telemetry.NewMetrics("v1")}
			if c.endpoint != "" {
				o.Endpoint = to.URL + c.endpoint
			}
			oneSpan(t, exportBy(t, o), patience)
			if spans, _ := to.spans(); len(spans) != 1 {
				t.Errorf("%d spans have come", len(spans))
			}
		})
	}
}

// oneSpan has a flow end, and closes; the collector has so long to take the span, no longer
// than by default if that is 0.
func oneSpan(t *testing.T, traces *telemetry.Traces, limit time.Duration) {
	t.Helper()
	if limit > 0 {
		traces.WaitFor(limit)
	}
	b, stop := newBroker(t, traces)
	attach(t, b).take(`,"count":0`)
	stop()
	if err := traces.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestProtocolsOverTLS: https is TLS, by both protocols, with the authority that
// OpenTelemetry's variable names.
func TestProtocolsOverTLS(t *testing.T) {
	ca, err := pki.NewCA("an authority", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server([]string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	own, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.Certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	collectors := map[string]*collector{
		"grpc":          startCollector(t, grpc.Creds(credentials.NewTLS(config))),
		"http/protobuf": startHTTPCollector(t, "/v1/traces", config),
	}
	send := func(scheme string, want int) {
		t.Helper()
		for protocol, to := range collectors {
			_, address, _ := strings.Cut(to.URL, "://")
			oneSpan(t, exportBy(t, telemetry.ExportOptions{Endpoint: scheme + "://" + address, Protocol: protocol, Metrics: telemetry.NewMetrics("v1")}),
				time.Duration(want)*patience)
			if spans, _ := to.spans(); len(spans) != want {
				t.Errorf("%s to %s: %d spans have come", protocol, scheme, len(spans))
			}
		}
	}
	send("http", 0)
	send("https", 0) // nobody knows the authority
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", file)
	send("https", 1)
}

// TestProtocolRefused: what there is not is named, with where it comes from, also when the
// gateway would have found out only later.
func TestProtocolRefused(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
	for want, o := range map[string]telemetry.ExportOptions{
		`otlp-protocol is "http", want grpc or http/protobuf`:                    {Protocol: "http"},
		`OTEL_EXPORTER_OTLP_PROTOCOL is "http/json", want grpc or http/protobuf`: {Endpoint: "http://127.0.0.1:1"},
		"": {}, // nobody asks for traces
	} {
		if err := o.Validate(); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
	if _, err := telemetry.Export(t.Context(), telemetry.ExportOptions{Endpoint: "http://127.0.0.1:1"}); err == nil {
		t.Error("http/json is spoken")
	}
}

// hanging takes connections, and never says anything.
func hanging(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer func() { _ = conn.Close() }()
				_, _ = io.Copy(io.Discard, conn) // until the other side has enough
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		served.Wait()
	})
	return "http://" + l.Addr().String()
}

// slowGRPC has its spans wait until their caller gives up; slowHTTP the same.
func slowGRPC(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	collectorpb.RegisterTraceServiceServer(s, &spans.Collector{})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return "http://" + l.Addr().String()
}

func slowHTTP(t *testing.T) string {
	t.Helper()
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-over: // who goes while he sends is not seen to go
		}
	}))
	t.Cleanup(func() {
		close(over)
		s.Close()
	})
	return s.URL
}

func overloaded(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestTracesWithoutCollector: a collector that is not there, hangs, or never gets done
// costs flows nothing, and begin and end no more than they may: nothing of this would come
// to an end if it were waited for, as no context ends.
func TestTracesWithoutCollector(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "3600000")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")
	for name, c := range map[string]struct{ protocol, endpoint string }{
		"gRPC, nobody":      {"grpc", "http://127.0.0.1:1"},
		"HTTP, nobody":      {"http/protobuf", "http://127.0.0.1:1"},
		"gRPC, silent":      {"grpc", hanging(t)},
		"HTTP, silent":      {"http/protobuf", hanging(t)},
		"gRPC, TLS, silent": {"grpc", strings.Replace(hanging(t), "http:", "https:", 1)},
		"gRPC, slow":        {"grpc", slowGRPC(t)},
		"HTTP, slow":        {"http/protobuf", slowHTTP(t)},
		"HTTP, overloaded":  {"http/protobuf", overloaded(t)},
		"gRPC to HTTP":      {"grpc", slowHTTP(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := telemetry.NewMetrics("v1")
			var log bytes.Buffer
			traces := exportBy(t, telemetry.ExportOptions{
				Endpoint: c.endpoint, Protocol: c.protocol, Metrics: m, Log: slog.New(slog.NewTextHandler(&log, nil)),
			})
			b, stop := newBroker(t, m, traces)
			for range 100 {
				attach(t, b).take(`,"count":0`)
			}
			stop()
			if err := traces.Close(context.Background()); err != nil {
				t.Error(err)
			}
			got := scrape(t, m)
			if got[`spans_total{result="ended"}`] != "100" || got[`spans_total{result="exported"}`] != "0" || got[`spans_total{result="failed"}`] == "0" {
				t.Errorf("the spans: %v", got)
			}
			if text := log.String(); !strings.Contains(text, `msg="spans left behind" spans=`) && !strings.Contains(text, `msg="spans not exported" spans=`) || strings.Count(text, "\n") > 3 {
				t.Errorf("logged is\n%s", text)
			}
		})
	}
}

// TestLastSpansAreSent: the collector takes its time, and has them before Close returns.
func TestLastSpansAreSent(t *testing.T) {
	t.Parallel()
	to := startHTTPCollector(t, "/v1/traces")
	m := telemetry.NewMetrics("v1")
	oneSpan(t, exportBy(t, telemetry.ExportOptions{Endpoint: to.URL, Protocol: "http/protobuf", Metrics: m}), patience)
	wantSeries(t, m, map[string]string{`spans_total{result="exported"}`: "1", `spans_total{result="failed"}`: "0"})
}
