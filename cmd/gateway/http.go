package main

import (
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/internal/logs"
)

// What somebody may take who comes to the HTTP address, where nobody is asked who he is.
const (
	httpRequestTimeout = 5 * time.Second  // for a request to come
	httpAnswerTimeout  = 10 * time.Second // for its answer to be read
	httpIdleTimeout    = 10 * time.Second // for the next one
	httpHeaders        = 8 << 10          // bytes
	httpConnections    = 100              // beyond it the oldest is closed
)

// startHTTP serves health checks and metrics.
func (g *gateway) startHTTP(c *serveCommand) error {
	if len(chosen([]string{c.HTTP})) == 0 {
		return nil
	}
	listener, err := net.Listen("tcp", c.HTTP)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", g.healthz)
	mux.HandleFunc("GET /readyz", g.readyz)
	mux.Handle("GET /metrics", g.instruments.metrics.Handler(g.log))
	g.http = newHTTP(mux, g.log)
	g.bound.HTTP = boundAddress(listener, c.HTTP)
	go g.watch("http", func() error { return g.http.Serve(boundHTTP(listener)) })
	return nil
}

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

func (g *gateway) healthz(w http.ResponseWriter, _ *http.Request) {
	if g.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n") // who has left needs no answer
}

// readyz is healthz, but tells as well of a reload that has failed: then what is in force
// may let in who should not be any more.
func (g *gateway) readyz(w http.ResponseWriter, r *http.Request) {
	if pending := g.reloads.pending(); pending != "" && !g.draining.Load() {
		http.Error(w, pending, http.StatusServiceUnavailable)
		return
	}
	g.healthz(w, r)
}
