package reload

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/text"
)

// What can be put to use anew, and fail to be: as operators see it.
const (
	Configuration = "configuration"
	Keys          = "keys and certificates"
)

// Notes take note of what was to be put to use and could not be, until it was: what
// is in force then is not what was ordered. Its methods may be called concurrently.
type Notes struct {
	log   *slog.Logger
	lines *logs.Sampler
	count func(ok bool, failing int) // for metrics; called with mu held, in their order

	mu      sync.Mutex
	failing map[string]time.Time // guarded by mu; since when
}

// Retry is when what could not be put to use is tried again.
const Retry = 2 * time.Second

// reloadLines bounds the lines of an attempt that fails again and again for the same
// cause. Another cause has its line at once.
var reloadLines = logs.Options{Burst: 1, Rate: 1. / 60}

// NewNotes are for a log, which has a line of each failure, and for count, which is called
// for each attempt with how many things are not in force after it.
func NewNotes(log *slog.Logger, count func(ok bool, failing int)) *Notes {
	return &Notes{log: log, lines: logs.NewSampler(log, reloadLines), count: count, failing: map[string]time.Time{}}
}

// Failed takes note that something could not be put to use.
func (n *Notes) Failed(what string, err error) {
	n.mark(what, true)
	n.lines.Log(context.Background(), slog.LevelWarn, "reload_failed", logs.Of("", text.Detail(what+err.Error())),
		what+" not reloaded; what was before stays in force", "error", err, "again_in", Retry)
}

// Succeeded takes note that it was, with attributes of what that has changed.
func (n *Notes) Succeeded(what string, attributes ...any) {
	n.mark(what, false)
	n.log.Info(what+" reloaded", attributes...)
}

func (n *Notes) mark(what string, failing bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch _, already := n.failing[what]; {
	case !failing:
		delete(n.failing, what)
	case !already:
		n.failing[what] = time.Now()
	}
	n.count(!failing, len(n.failing))
}

// Pending is what is not in force, in words; empty if all is. Strangers may read it.
func (n *Notes) Pending() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var words []string
	for _, what := range slices.Sorted(maps.Keys(n.failing)) {
		words = append(words, what+" not reloaded since "+n.failing[what].UTC().Format(time.RFC3339))
	}
	return strings.Join(words, "\n")
}
