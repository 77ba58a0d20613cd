package gateway

import (
	"fmt"
	"sync"
	"time"

	"github.com/zioflow/gateway/server/admin"
)

// reloadable is a part of the gateway that can be changed while it runs. It
// checks what it is to be, and returns what puts that to use. That can't fail,
// and tells in words what has changed beyond the options themselves.
type reloadable func(next *Config) (apply func() []string, err error)

// retryReload is when a reload that has failed is tried again.
const retryReload = 2 * time.Second

// reloader puts a changed configuration to use in a running gateway. Its methods
// may be called concurrently.
type reloader struct {
	reloads *reloads
	reread  func() (*Revision, error)
	parts   []reloadable

	mu     sync.Mutex  // one reload at a time
	closed bool        // guarded by mu
	retry  *time.Timer // guarded by mu; nil unless the last reload has failed
	last   time.Time   // guarded by mu; when the configuration was put to use
}

func newReloader(c *Config, notes *reloads, parts ...reloadable) *reloader {
	r := &reloader{reloads: notes, reread: c.Reread, parts: parts, last: time.Now()}
	if r.reread == nil {
		same := *c
		r.reread = func() (*Revision, error) { return &Revision{Config: same}, nil }
	}
	return r
}

// reload reads everything anew and puts it to use, all or nothing. Flows that
// are running are not touched. One that fails is tried again until one has succeeded:
// a file may be half written, or there may be no descriptor to read it with.
func (r *reloader) reload() (admin.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retry != nil {
		r.retry.Stop()
		r.retry = nil
	}
	if r.closed {
		return admin.Reloaded{}, errStopping
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
func (r *reloader) tryReload() (result admin.Reloaded, err error) {
	next, err := r.reread()
	if err != nil {
		return result, err
	}
	apply := make([]func() []string, len(r.parts))
	for i, part := range r.parts {
		if apply[i], err = part(&next.Config); err != nil {
			return result, err
		}
	}
	if next.Taken != nil {
		result.Changes, result.NeedRestart = next.Taken()
	}
	for _, put := range apply {
		result.Changes = append(result.Changes, put()...)
	}
	return result, nil
}

// configured is when the configuration was last put to use.
func (r *reloader) configured() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// reloadLimits changes the broker's limits. The fronts were made for the largest
// credit and message that the gateway was started with.
func (g *Gateway) reloadLimits(started *Config) reloadable {
	return func(next *Config) (func() []string, error) {
		for _, bound := range []struct {
			option   string
			most, is int64
		}{
			{"max-credit", started.Limits.MaxCredit, next.Limits.MaxCredit},
			{"max-message", int64(started.Limits.MaxMessage), int64(next.Limits.MaxMessage)},
		} {
			if bound.is > bound.most {
				return nil, fmt.Errorf("%s: %d is more than the %d with which the gateway was started: that needs a restart",
					bound.option, bound.is, bound.most)
			}
		}
		limits := g.brokerOptions(next)
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
func (g *Gateway) reloadLog(next *Config) (func() []string, error) {
	return func() []string {
		g.level.Set(next.LogLevel)
		return nil
	}, nil
}
