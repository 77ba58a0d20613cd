package gateway

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/internal/pki"
)

// TestExpiredCertificate: a running gateway says so, and takes another at once.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	defer http.DefaultClient.CloseIdleConnections()
	folder := t.TempDir()
	write := func(valid time.Duration) {
		pair := certified(t, valid)
		for name, text := range map[string][]byte{"gw.pem": pair.Certificate, "gw.key": pair.Key} {
			if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(-time.Minute)
	c := onLoopback()
	c.Security.TLSCert, c.Security.TLSKey = filepath.Join(folder, "gw.pem"), filepath.Join(folder, "gw.key")
	g := mustNew(t, c)
	wantReady := func(code int, text string) {
		t.Helper()
		answer, err := http.Get("http://" + g.Addresses().HTTP + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != code || !strings.Contains(string(body), text) {
			t.Errorf("ready: %d %s (%v), want %d %s", answer.StatusCode, body, err, code, text)
		}
	}
	wantReady(http.StatusServiceUnavailable, "certificate of --tls-cert has expired")
	write(time.Minute)
	if _, err := g.Reload(); err != nil {
		t.Fatal(err)
	}
	wantReady(http.StatusOK, "ok\n")
}

func certified(t *testing.T, valid time.Duration) pki.Pair {
	t.Helper()
	ca, err := pki.NewCA("an authority", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server([]string{"localhost"}, valid)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
