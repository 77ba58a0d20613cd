package gateway

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/server/admin"
)

// What somebody may take who comes to the HTTP address, where nobody is asked who he is.
const (
	httpRequestTimeout = 5 * time.Second  // for a request to come
	httpAnswerTimeout  = 10 * time.Second // for its answer to be read
	httpIdleTimeout    = 10 * time.Second // for the next one
	httpHeaders        = 8 << 10          // bytes
	httpConnections    = 100              // beyond it the oldest is closed
)

// httpFront serves operators and their programs.
type httpFront struct {
	server    *http.Server
	endpoints []admin.Endpoint
}

func httpTransport() transport {
	return transport{
		name: transportHTTP, front: "http", option: "--http", local: isLocal, encrypted: never, asks: never,
		configured: func(c *Config) []string { return Chosen(c.HTTP.Address) },
		want:       "--public-http allows it",
	}
}

// openHTTP serves health checks and metrics.
func openHTTP(g *Gateway, c *Config) (Front, error) {
	t := httpTransport()
	if len(t.configured(c)) == 0 {
		return nil, nil
	}
	listener, err := net.Listen("tcp", c.HTTP.Address)
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", g.healthz)
	mux.HandleFunc("GET /readyz", g.readyz)
	mux.Handle("GET /metrics", g.instruments.metrics.Handler(g.log))
	f := &httpFront{newHTTP(mux, g.log), t.endpoints(c, []string{boundAddress(listener, c.HTTP.Address)})}
	go g.watch("http", func() error { return f.server.Serve(boundHTTP(listener)) })
	return f, nil
}

// Endpoints implements Front.
func (f *httpFront) Endpoints() []admin.Endpoint { return f.endpoints }

// Drain implements Front: health checks look by themselves.
func (f *httpFront) Drain() {}

// Undrain implements Front.
func (f *httpFront) Undrain() {}

// Close implements Front: it waits for nobody.
func (f *httpFront) Close(context.Context) error { return f.server.Close() }

// newHTTP is a server that waits for nobody.
func newHTTP(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadTimeout: httpRequestTimeout, WriteTimeout: httpAnswerTimeout, IdleTimeout: httpIdleTimeout,
		MaxHeaderBytes: httpHeaders, ErrorLog: stdlog.New(logs.NewSampler(log, logs.Options{}).Lines(slog.LevelWarn, "http"), "", 0),
	}
}

// boundHTTP bounds the connections of a listener: a new one always finds its place.
func boundHTTP(l net.Listener) net.Listener {
	return crowd.New(crowd.Limits{Strangers: httpConnections, Known: 1}).Listen(l)
}

func (g *Gateway) healthz(w http.ResponseWriter, _ *http.Request) {
	if g.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n") // who has left needs no answer
}

// readyz is healthz, but tells as well of a reload that has failed: then what is in force
// may let in who should not be any more.
func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) {
	if pending := g.reloads.pending(); pending != "" && !g.draining.Load() {
		http.Error(w, pending, http.StatusServiceUnavailable)
		return
	}
	g.healthz(w, r)
}
