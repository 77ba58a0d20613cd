package gateway

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// noted are reloads whose log and counts a test can see.
type noted struct {
	*reloads
	log                 bytes.Buffer
	ok, failed, failing int
}

func newNoted() *noted {
	n := new(noted)
	n.reloads = newReloads(slog.New(slog.NewTextHandler(&n.log, nil)), func(ok bool, failing int) {
		if n.failing = failing; ok {
			n.ok++
		} else {
			n.failed++
		}
	})
	return n
}

// TestReloadIsTriedAgain: until it succeeds; then no more. Of many failures for one
// cause there are few lines.
func TestReloadIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNoted()
		tries, wrong := 0, errors.New("too many open files")
		r := &reloader{reloads: n.reloads}
		r.reread = func() (*Revision, error) {
			tries++
			return new(Revision), wrong
		}
		put := 0
		r.parts = []reloadable{func(*Config) (func() []string, error) { return func() []string { put++; return nil }, nil }}
		g := &Gateway{reloads: n.reloads}
		readyz := func() (int, string) {
			answer := httptest.NewRecorder()
			g.readyz(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			return answer.Code, answer.Body.String()
		}
		if code, body := readyz(); code != http.StatusOK || body != "ok\n" {
			t.Errorf("before, /readyz returns %d %s", code, body)
		}
		if _, err := r.reload(); !errors.Is(err, wrong) {
			t.Errorf("reload: %v", err)
		}
		time.Sleep(30*time.Second + time.Millisecond)
		synctest.Wait()
		r.mu.Lock() // under which all of it happens
		if tries != 16 || n.failed != 16 || n.failing != 1 {
			t.Errorf("tried %d times, counted %d, %d failing", tries, n.failed, n.failing)
		}
		if lines := strings.Count(n.log.String(), "configuration not reloaded"); lines != 1 {
			t.Errorf("%d lines, want 1:\n%s", lines, n.log.String())
		}
		if code, body := readyz(); code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "configuration not reloaded since 2000-01-01T") ||
			strings.Contains(body, "files") {
			t.Errorf("/readyz returns %d %s", code, body)
		}
		wrong = errors.New("another cause")
		r.mu.Unlock()
		time.Sleep(retryReload)
		synctest.Wait()
		r.mu.Lock()
		if !strings.Contains(n.log.String(), "another cause") {
			t.Error("another cause has no line")
		}
		wrong = nil
		r.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if tries != 18 || put != 1 || n.ok != 1 || n.failing != 0 || !strings.Contains(n.log.String(), "configuration reloaded") {
			t.Errorf("tried %d times, put to use %d times, counted %d, %d failing", tries, put, n.ok, n.failing)
		}
		if code, _ := readyz(); code != http.StatusOK {
			t.Errorf("in the end, /readyz returns %d", code)
		}
		r.close()
	})
}

// TestReloadEndsWithTheGateway: nothing is tried after close.
func TestReloadEndsWithTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		r := &reloader{reloads: newNoted().reloads, reread: func() (*Revision, error) { tries++; return nil, errors.New("no") }}
		_, _ = r.reload()
		r.close()
		time.Sleep(time.Minute)
		if _, err := r.reload(); !errors.Is(err, errStopping) {
			t.Errorf("after close: %v", err)
		}
		if tries != 1 {
			t.Errorf("tried %d times", tries)
		}
	})
}

// TestKeysAreTriedAgain: what could not be read is, though no file changes any more.
func TestKeysAreTriedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identities.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("identities: []")
	n := newNoted()
	c := &Config{Security: Security{Identities: path}}
	s := &security{log: slog.New(slog.DiscardHandler), config: c.Security, notes: n.reloads}
	for _, wrong := range []string{"", "identities: [{name: a, ro"} {
		write(wrong)
		for range 2 {
			if s.changed(c) == nil {
				t.Errorf("%q was put to use", wrong)
			}
		}
	}
	if n.failed != 4 || n.failing != 1 || strings.Count(n.log.String(), "\n") != 2 {
		t.Errorf("counted %d, %d failing:\n%s", n.failed, n.failing, n.log.String())
	}
	write("identities: [{name: a, roles: [client]}]")
	if err := s.changed(c); err != nil || n.failing != 0 {
		t.Errorf("%v, %d failing", err, n.failing)
	}
}
