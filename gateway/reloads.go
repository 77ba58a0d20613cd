package gateway

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
	theConfiguration = "configuration"
	theKeys          = "keys and certificates"
)

// reloads takes note of what was to be put to use and could not be, until it was: what
// is in force then is not what was ordered. Its methods may be called concurrently.
type reloads struct {
	log   *slog.Logger
	lines *logs.Sampler
	count func(ok bool, failing int) // for metrics; called with mu held, in their order

	mu      sync.Mutex
	failing map[string]time.Time // guarded by mu; since when
}

// reloadLines bounds the lines of an attempt that fails again and again for the same
// cause. Another cause has its line at once.
var reloadLines = logs.Options{Burst: 1, Rate: 1. / 60}

func newReloads(log *slog.Logger, count func(ok bool, failing int)) *reloads {
	return &reloads{log: log, lines: logs.NewSampler(log, reloadLines), count: count, failing: map[string]time.Time{}}
}

// failed takes note that something could not be put to use.
func (r *reloads) failed(what string, err error) {
	r.mark(what, true)
	r.lines.Log(context.Background(), slog.LevelWarn, "reload_failed", logs.Of("", text.Detail(what+err.Error())),
		what+" not reloaded; what was before stays in force", "error", err, "again_in", retryReload)
}

// succeeded takes note that it was, with attributes of what that has changed.
func (r *reloads) succeeded(what string, attributes ...any) {
	r.mark(what, false)
	r.log.Info(what+" reloaded", attributes...)
}

func (r *reloads) mark(what string, failing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch _, already := r.failing[what]; {
	case !failing:
		delete(r.failing, what)
	case !already:
		r.failing[what] = time.Now()
	}
	r.count(!failing, len(r.failing))
}

// pending is what is not in force, in words; empty if all is. Strangers may read it.
func (r *reloads) pending() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var words []string
	for _, what := range slices.Sorted(maps.Keys(r.failing)) {
		words = append(words, what+" not reloaded since "+r.failing[what].UTC().Format(time.RFC3339))
	}
	return strings.Join(words, "\n")
}
