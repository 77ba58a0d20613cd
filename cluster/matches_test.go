package cluster

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/matching"
)

// TestMatches: expressions are compiled when they are needed at the latest, each once, and
// one that makes no sense takes nothing.
func TestMatches(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	k := newMatches(slog.New(slog.NewTextHandler(&log, nil)))
	if k.of("") != nil {
		t.Error("no expression does not take every BOT")
	}
	raw, odd := k.of("attributes.stream == 'raw'"), k.of("attributes.stream ==")
	if k.of("attributes.stream == 'raw'") != raw {
		t.Error("the same is there twice")
	}
	view := &matching.View{Label: []byte(`{"flow":"BOT","stream":"raw"}`)}
	if !raw.Match(view) || k.of("attributes.stream == 'cooked'").Match(view) || odd.Match(view) || odd.Match(view) {
		t.Error("they do not match as they should")
	}
	if got := fmt.Sprint(raw); got != "attributes.stream == 'raw'" {
		t.Errorf("it is shown as %s", got)
	}
	for i := range 2 * maxMatches {
		k.of(fmt.Sprintf("credit == %d", i))
		k.mu.Lock()
		k.compiler.mu.Lock()
		if len(k.kept) > maxMatches || len(k.compiler.waiting) > maxMatches {
			t.Fatalf("%d are kept, %d wait", len(k.kept), len(k.compiler.waiting))
		}
		k.compiler.mu.Unlock()
		k.mu.Unlock()
	}
	k.compiler.close()
	k.of("credit == 1 && credit == 2") // after the end nothing is begun
	if n := strings.Count(log.String(), "listeners of other nodes cannot be used"); n != 1 {
		t.Errorf("the log tells of it %d times: %s", n, log.String())
	}
}
