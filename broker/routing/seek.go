package routing

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/rights"
)

// Seek finds a handler, by that deadline, for a flow of which the routes see that, unless
// the match of its client's rights, which may be nil, does not take it. It has a goroutine
// of its own: whatever a match costs, nobody waits for it but this flow.
func (r *Request) Seek(deadline time.Time, view *matching.View, right matching.Match) {
	r.deadline, r.view, r.right = deadline, view, right
	defer r.view.Forget()
	err := r.findHandler()
	if err == nil || r.pending.Err() != nil {
		return
	}
	refusal, ok := errors.AsType[*flow.Error](err)
	if !ok {
		refusal = &flow.Error{Reason: flow.Rejected}
	}
	r.flow.Refuse(&flow.Error{Reason: refusal.Reason, Detail: err.Error(), Denied: refusal.Denied})
}

// ErrWithdrawn is what an announced route's factory returns when the route has gone: the
// flow is as it was before, and looks for another.
var ErrWithdrawn = errors.New("the listeners have left")

// findHandler has the first route that takes the flow find a handler. Where that was
// listeners' own and they have left, or another node's that does not take it, the flow is as it
// was before. A match or a factory that panics costs one flow, not all of them (BRK-7).
func (r *Request) findHandler() (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			r.router.Log.Error("finding a handler failed", "flow", r.flow.ID(), "at", r.step, "error", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = fmt.Errorf("%s failed: %v", r.step, cause)
		}
	}()
	if err := r.admit(); err != nil {
		return err
	}
	if r.direct != nil {
		return r.goDirectly()
	}
	for {
		entry, err := r.search()
		if err != nil || !r.flow.Take(entry) {
			return err
		}
		r.route, r.step = &entry.Route, "route "+entry.Name
		err = entry.Factory.Find(r.pending, r)
		passed, has := errors.AsType[*Passed](err)
		switch {
		case has:
			r.passed = passed
		case errors.Is(err, ErrWithdrawn):
			r.passed = &Passed{flow.NoHandler, fmt.Sprintf("the last listener named %s has left", entry.Name)}
		default:
			return err
		}
		r.flow.GiveBack()
	}
}

// goDirectly has a handler found where the request was sent.
func (r *Request) goDirectly() error {
	entry := r.direct.Entry
	if !r.flow.Take(entry) {
		return nil
	}
	r.route, r.step = &entry.Route, "route "+entry.Name
	err := r.direct.Factory.Find(r.pending, r)
	if errors.Is(err, ErrWithdrawn) {
		return &flow.Error{Reason: flow.NoHandler, Detail: fmt.Sprintf("the listener named %s has left", entry.Name)}
	}
	return err
}

// admit tells whether the client may open a flow like this, by the match of its rights at
// its BOT.
func (r *Request) admit() error {
	if r.right == nil {
		return nil
	}
	r.step = "a right"
	e, err := r.Evaluate()
	if err != nil {
		return err
	}
	defer e.End()
	if no := (rights.Rights{Match: r.right}).MayHave(r.view); no != nil {
		return no
	}
	return nil
}

// search returns the first route that takes the BOT. While none does it waits for one
// that does, or for a listener; when the time for that is over, the error is that of what was
// found before, with how many were asked. Who has been asked is not asked again.
func (r *Request) search() (*Entry, error) {
	var asked uint64
	vacancy := r.Vacancy()
	defer vacancy.End()
	for {
		routes := r.router.Table.Now()
		found, err := r.firstOf(routes, asked)
		if found != nil || err != nil {
			return found, err
		}
		asked = routes.Born
		if err := vacancy.change(routes.Changed, r.passed.with(routes.askedAll())); err != nil {
			return nil, err
		}
	}
}

// firstOf returns the first of the routes that takes the BOT, of those that came
// after the asked ones.
func (r *Request) firstOf(routes *Arrangement, asked uint64) (*Entry, error) {
	e, err := r.Evaluate()
	if err != nil {
		return nil, err
	}
	defer e.End()
	for entry := range routes.each {
		r.step = "the match of route " + entry.Name
		takes := false
		if entry.announced != nil {
			takes, err = entry.announced.Takes(e, asked)
		} else if takes = entry.born > asked && entry.mayCross(r.view) && e.Matches(entry.Match); !takes {
			err = e.Share()
		} else if held := entry.heldBy(); held != nil {
			takes, r.passed = false, held
		}
		switch {
		case err != nil:
			return nil, err
		case takes:
			return entry, nil
		}
	}
	r.known = nil
	return nil, nil
}

// Vacancy is a time in which nobody is there who would handle a flow.
type Vacancy struct {
	request *Request
	timer   *time.Timer // nil before it has begun
}

// Vacancy is one that begins with the first Change.
func (r *Request) Vacancy() *Vacancy { return &Vacancy{request: r} }

// Change waits until the routes or listeners change. An error is a *flow.Error with
// NoHandler when it has lasted as long as it may, or the cause for which the flow is not
// pending any more.
func (v *Vacancy) Change(changed <-chan struct{}, detail string) error {
	return v.change(changed, &flow.Error{Reason: flow.NoHandler, Detail: detail})
}

// change is Change with the error that it is when it has lasted as long as it may.
func (v *Vacancy) change(changed <-chan struct{}, none *flow.Error) error {
	r := v.request
	if r.wait == 0 {
		return none
	}
	r.flow.IfLate(none)
	if v.timer == nil {
		v.timer = time.NewTimer(r.wait)
	}
	select {
	case <-changed:
		return nil
	case <-v.timer.C:
		return none
	case <-r.pending.Done():
		return context.Cause(r.pending)
	}
}

// End ends the vacancy: somebody is there.
func (v *Vacancy) End() {
	if v.timer != nil {
		v.timer.Stop()
		v.timer = nil
	}
}
