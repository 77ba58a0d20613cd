package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/server"
)

// option is one option of `gateway serve` as it was given.
type option struct {
	value string
	// live options can be changed by a reload; the tag `reload` marks them.
	live bool
}

// AfterApply is called by kong when everything is read. It keeps the options by
// name, so that a reload can tell which have changed.
func (c *serveCommand) AfterApply(ctx *kong.Context) error {
	c.options = map[string]option{}
	for _, flag := range ctx.Selected().Flags {
		c.options[flag.Name] = option{fmt.Sprint(flag.Target.Interface()), flag.Tag.Has("reload")}
	}
	return nil
}

// reread answers what the command line, the environment and the file say now.
func (c *serveCommand) reread() (*serveCommand, error) {
	parsed, err := parse(c.arguments)
	if err != nil {
		return nil, err
	}
	return &parsed.Model.Target.Addr().Interface().(*cli).Serve, nil
}

// reloadable is a part of the gateway that can be changed while it runs. It
// checks what it is to be, and answers what puts that to use. That can't fail,
// and tells in words what has changed beyond the options themselves.
type reloadable func(next *serveCommand) (apply func() []string, err error)

// retryReload is when a reload that has failed is tried again.
const retryReload = 2 * time.Second

// reloader puts a changed configuration to use in a running gateway. Its methods
// may be called concurrently.
type reloader struct {
	reloads *reloads
	reread  func() (*serveCommand, error)
	parts   []reloadable

	mu      sync.Mutex        // one reload at a time
	closed  bool              // guarded by mu
	retry   *time.Timer       // guarded by mu; nil unless the last reload has failed
	options map[string]option // guarded by mu; those in force
	last    time.Time         // guarded by mu; when the configuration was put to use
}

func newReloader(c *serveCommand, notes *reloads, parts ...reloadable) *reloader {
	return &reloader{reloads: notes, reread: c.reread, parts: parts, options: maps.Clone(c.options), last: time.Now()}
}

// reload reads everything anew and puts it to use, all or nothing. Flows that
// are running are not touched. One that fails is tried again until one has succeeded:
// a file may be half written, or there may be no descriptor to read it with.
func (r *reloader) reload() (server.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retry != nil {
		r.retry.Stop()
		r.retry = nil
	}
	if r.closed {
		return server.Reloaded{}, errStopping
	}
	result, err := r.tryReload()
	if err != nil {
		r.reloads.failed(theConfiguration, err)
		r.retry = time.AfterFunc(retryReload, func() { _, _ = r.reload() }) // it tells what came of it
		return result, err
	}
	r.last = time.Now()
	r.reloads.succeeded(theConfiguration, "changes", result.Changes, "need_restart", result.NeedRestart)
	return result, nil
}

// close ends the trying. A reload that is under way is waited for.
func (r *reloader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.retry != nil {
		r.retry.Stop()
	}
}

// tryReload does so without a word. r.mu is held.
func (r *reloader) tryReload() (result server.Reloaded, err error) {
	next, err := r.reread()
	if err != nil {
		return result, err
	}
	apply := make([]func() []string, len(r.parts))
	for i, part := range r.parts {
		if apply[i], err = part(next); err != nil {
			return result, err
		}
	}
	result = r.compare(next.options)
	for _, put := range apply {
		result.Changes = append(result.Changes, put()...)
	}
	return result, nil
}

// compare tells which options differ, and takes note of those that are put to
// use. r.mu is held.
func (r *reloader) compare(next map[string]option) (result server.Reloaded) {
	for _, name := range slices.Sorted(maps.Keys(next)) {
		was, is := r.options[name].value, next[name].value
		switch {
		case was == is:
		case next[name].live:
			result.Changes = append(result.Changes, fmt.Sprintf("%s: %s, was %s", name, is, was))
			r.options[name] = next[name]
		default:
			result.NeedRestart = append(result.NeedRestart, fmt.Sprintf("%s: %s, was %s", name, is, was))
		}
	}
	return result
}

// configured is when the configuration was last put to use.
func (r *reloader) configured() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// reloadLimits changes the broker's limits. The fronts were made for the largest
// credit and message that the gateway was started with.
func (g *gateway) reloadLimits(started *serveCommand) reloadable {
	return func(next *serveCommand) (func() []string, error) {
		for _, bound := range []struct {
			option   string
			most, is int64
		}{
			{"max-credit", started.MaxCredit, next.MaxCredit},
			{"max-message", int64(started.MaxMessage), int64(next.MaxMessage)},
		} {
			if bound.is > bound.most {
				return nil, fmt.Errorf("%s: %d is more than the %d with which the gateway was started: that needs a restart",
					bound.option, bound.is, bound.most)
			}
		}
		limits := next.limits(g.log)
		if err := limits.Validate(); err != nil {
			return nil, err
		}
		return func() []string {
			_ = g.broker.SetLimits(limits) // they are valid
			return nil
		}, nil
	}
}

// reloadLog changes what is logged.
func (g *gateway) reloadLog(next *serveCommand) (func() []string, error) {
	return func() []string {
		g.level.Set(next.LogLevel)
		return nil
	}, nil
}
