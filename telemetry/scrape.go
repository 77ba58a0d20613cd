package telemetry

import (
	"bytes"
	stdlog "log"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zioflow/gateway/internal/logs"
)

// Handler serves the metrics over HTTP.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return &apart{
		slot: make(chan struct{}, 1),
		inner: promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
			ErrorLog:          stdlog.New(logs.NewSampler(log, logs.Options{}).Lines(slog.LevelError, "metrics"), "", 0),
			Registry:          m.registry,
			EnableOpenMetrics: true,
		}),
	}
}

// apart keeps the work that an answer takes apart from sending it: one answer at a time
// is worked out, and then it waits for its reader without holding up another's. Whoever
// has the listener bounds the readers and how long they may take.
type apart struct {
	inner http.Handler
	slot  chan struct{} // holds a token while one is worked out
}

// ServeHTTP implements http.Handler.
func (a *apart) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ready := &response{header: w.Header(), code: http.StatusOK}
	select {
	case a.slot <- struct{}{}:
		a.work(ready, r)
	case <-r.Context().Done():
		return // nobody waits for it any more
	}
	w.WriteHeader(ready.code)
	_, _ = w.Write(ready.body.Bytes()) // who has left needs no answer
}

func (a *apart) work(w http.ResponseWriter, r *http.Request) {
	defer func() { <-a.slot }()
	a.inner.ServeHTTP(w, r)
}

// response is an answer that is kept. It implements http.ResponseWriter.
type response struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *response) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *response) WriteHeader(code int) { r.code = code }

// Write implements http.ResponseWriter.
func (r *response) Write(b []byte) (int, error) { return r.body.Write(b) }
