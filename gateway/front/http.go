package front

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net/http"
	"time"

	"github.com/zioflow/gateway/gateway/config"
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

// openHTTP serves health checks and metrics.
func openHTTP(h *Host, c *config.Config) (Front, error) {
	t := config.TransportOf(config.HTTPTransport)
	if len(t.Configured(c)) == 0 {
		return nil, nil
	}
	listeners, err := listen(t, c)
	if err != nil {
		return nil, err
	}
	checks := health{h.Draining, h.Pending, h.Soon}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", livez)
	mux.HandleFunc("GET /healthz", checks.healthz)
	mux.HandleFunc("GET /readyz", checks.readyz)
	mux.Handle("GET /metrics", h.Metrics.Handler(h.Log))
	f := &httpFront{newHTTP(mux, h.Log), t.Endpoints(c, addressesOf(listeners)...)}
	visitors, strange := httpCrowd(), newForeign(h.Log)
	for _, l := range listeners {
		go h.Watch(t.Name, func() error { return f.server.Serve(sniffingListener{visitors.Listen(l), strange}) })
	}
	return f, nil
}

// Endpoints implements Front.
func (f *httpFront) Endpoints() []admin.Endpoint { return f.endpoints }

// Drain implements Front: health checks look by themselves.
func (f *httpFront) Drain() {}

// Undrain implements Front.
func (f *httpFront) Undrain() {}

// Ready implements Front: health checks look by themselves.
func (f *httpFront) Ready(bool) {}

// Reload implements Front: there is nothing that can change.
func (f *httpFront) Reload(*config.Config) {}

// Close implements Front: it waits for nobody.
func (f *httpFront) Close(context.Context) error { return f.server.Close() }

// newHTTP is a server that waits for nobody.
func newHTTP(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadTimeout: httpRequestTimeout, WriteTimeout: httpAnswerTimeout, IdleTimeout: httpIdleTimeout,
		MaxHeaderBytes: httpHeaders, ErrorLog: stdlog.New(logs.NewSampler(log, logs.Options{}).Lines(slog.LevelWarn, "http"), "", 0),
	}
}

// httpCrowd bounds the connections of listeners: a new one always finds its place.
func httpCrowd() *crowd.Crowd {
	return crowd.New(crowd.Limits{Strangers: httpConnections, Known: 1})
}

// health is what checks ask for.
type health struct {
	draining func() bool
	pending  func() string
	soon     func() string
}

// livez tells that the process serves, whatever state it is in: who starts it again when it
// does not should not do so because it drains.
func livez(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }

func (h health) healthz(w http.ResponseWriter, _ *http.Request) {
	if h.draining() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n") // who has left needs no answer
}

// readyz is healthz, but tells as well of a reload that has failed, as what is in force
// may then let in who should not be any more; and of certificates with which gRPC serves
// nobody. What will be so is told, too.
func (h health) readyz(w http.ResponseWriter, r *http.Request) {
	if pending := h.pending(); pending != "" {
		if h.draining() {
			pending = "draining\n" + pending
		}
		http.Error(w, pending, http.StatusServiceUnavailable)
		return
	}
	h.healthz(w, r)
	if soon := h.soon(); soon != "" {
		_, _ = fmt.Fprintln(w, soon)
	}
}
