// Package reload puts a changed configuration to use in a running gateway, and remembers
// what could not be.
package reload

import (
	"errors"
	"sync"
	"time"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/server/admin"
)

// Part is a part of the gateway that can be changed while it runs. It
// checks what it is to be, and returns what puts that to use. That can't fail,
// and tells in words what has changed beyond the options themselves.
type Part func(next *config.Config) (apply func() []string, err error)

// Reloader puts a changed configuration to use in a running gateway. Its methods
// may be called concurrently.
type Reloader struct {
	notes  *Notes
	reread func() (*config.Revision, error)
	parts  []Part

	mu     sync.Mutex  // one reload at a time
	closed bool        // guarded by mu
	retry  *time.Timer // guarded by mu; nil unless the last reload has failed
	last   time.Time   // guarded by mu; when the configuration was put to use
}

// ErrStopping is the error of what is asked of a gateway that goes down.
var ErrStopping = errors.New("the gateway is shutting down")

// New is a Reloader of the parts for a gateway that was started with a configuration.
func New(c *config.Config, notes *Notes, parts ...Part) *Reloader {
	r := &Reloader{notes: notes, reread: c.Reread, parts: parts, last: time.Now()}
	if r.reread == nil {
		same := *c
		r.reread = func() (*config.Revision, error) { return &config.Revision{Config: same}, nil }
	}
	return r
}

// Reload reads everything anew and puts it to use, all or nothing. Flows that
// are running are not touched. One that fails is tried again until one has succeeded:
// a file may be half written, or there may be no descriptor to read it with.
func (r *Reloader) Reload() (admin.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retry != nil {
		r.retry.Stop()
		r.retry = nil
	}
	if r.closed {
		return admin.Reloaded{}, ErrStopping
	}
	result, err := r.tryReload()
	if err != nil {
		r.notes.Failed(Configuration, err)
		r.retry = time.AfterFunc(Retry, func() { _, _ = r.Reload() }) // it tells what came of it
		return result, err
	}
	r.last = time.Now()
	r.notes.Succeeded(Configuration, "changes", result.Changes, "need_restart", result.NeedRestart)
	return result, nil
}

// Close ends the trying. A reload that is under way is waited for.
func (r *Reloader) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.retry != nil {
		r.retry.Stop()
	}
}

// tryReload does so without a word. r.mu is held.
func (r *Reloader) tryReload() (result admin.Reloaded, err error) {
	next, err := r.reread()
	if err != nil {
		return result, err
	}
	apply := make([]func() []string, len(r.parts))
	for i, part := range r.parts {
		if apply[i], err = part(&next.Config); err != nil {
			if next.Locate != nil {
				err = next.Locate(err)
			}
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

// Configured is when the configuration was last put to use.
func (r *Reloader) Configured() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
