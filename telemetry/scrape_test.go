package telemetry_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zioflow/gateway/telemetry"
)

// standing is a reader that does not read.
type standing struct {
	header  http.Header
	release chan struct{}
}

func (s standing) Header() http.Header       { return s.header }
func (s standing) WriteHeader(int)           {}
func (s standing) Write([]byte) (int, error) { <-s.release; return 0, http.ErrHandlerTimeout }

// TestReadersThatDoNotRead: they hold up themselves, and no scrape.
func TestReadersThatDoNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := telemetry.NewMetrics("test").Handler(slog.New(slog.DiscardHandler))
		release := make(chan struct{})
		for range 100 {
			go handler.ServeHTTP(standing{http.Header{}, release}, httptest.NewRequest("GET", "/metrics", nil))
		}
		synctest.Wait()
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
		if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "zio_gateway_build_info") ||
			!strings.HasPrefix(answer.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("the scrape got %d, %v", answer.Code, answer.Header())
		}
		close(release)
	})
}
