package guard

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/gateway/reload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestKeysAreTriedAgain: what could not be read is, though no file changes any more.
func TestKeysAreTriedAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "identities.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("identities: []")
	var log bytes.Buffer
	failed, failing := 0, 0
	notes := reload.NewNotes(slog.New(slog.NewTextHandler(&log, nil)), func(ok bool, pending int) {
		if failing = pending; !ok {
			failed++
		}
	})
	c := &config.Config{Security: config.Security{Identities: path}}
	g := &Guard{Curve: new(Curve), config: c.Security, notes: notes}
	for _, wrong := range []string{"", "identities: [{name: a, ro"} {
		write(wrong)
		for range 2 {
			if g.changed(c) == nil {
				t.Errorf("%q was put to use", wrong)
			}
		}
	}
	if failed != 4 || failing != 1 || strings.Count(log.String(), "\n") != 2 {
		t.Errorf("counted %d, %d failing:\n%s", failed, failing, log.String())
	}
	write("identities: [{name: a, roles: [client]}]")
	if err := g.changed(c); err != nil || failing != 0 {
		t.Errorf("%v, %d failing", err, failing)
	}
}
