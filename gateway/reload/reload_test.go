package reload

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/gateway/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noted are reloads whose log and counts a test can see.
type noted struct {
	*Notes
	log                 bytes.Buffer
	ok, failed, failing int
}

func newNoted() *noted {
	n := new(noted)
	n.Notes = NewNotes(slog.New(slog.NewTextHandler(&n.log, nil)), func(ok bool, failing int) {
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
		r := &Reloader{notes: n.Notes}
		r.reread = func() (*config.Revision, error) {
			tries++
			return new(config.Revision), wrong
		}
		put := 0
		r.parts = []Part{func(*config.Config) (func() []string, error) { return func() []string { put++; return nil }, nil }}
		if pending := n.Pending(); pending != "" {
			t.Errorf("before, %q is pending", pending)
		}
		if _, err := r.Reload(); !errors.Is(err, wrong) {
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
		if pending := n.Pending(); !strings.HasPrefix(pending, "configuration not reloaded since 2000-01-01T") || strings.Contains(pending, "files") {
			t.Errorf("%q is pending", pending)
		}
		wrong = errors.New("another cause")
		r.mu.Unlock()
		time.Sleep(Retry)
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
		if pending := n.Pending(); pending != "" {
			t.Errorf("in the end, %q is pending", pending)
		}
		r.Close()
	})
}

// TestReloadEndsWithTheGateway: nothing is tried after close.
func TestReloadEndsWithTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		r := &Reloader{notes: newNoted().Notes, reread: func() (*config.Revision, error) { tries++; return nil, errors.New("no") }}
		_, _ = r.Reload()
		r.Close()
		time.Sleep(time.Minute)
		if _, err := r.Reload(); !errors.Is(err, ErrStopping) {
			t.Errorf("after close: %v", err)
		}
		if tries != 1 {
			t.Errorf("tried %d times", tries)
		}
	})
}
