package broker

import (
	"context"
	"errors"
	"fmt"
	"github.com/zioflow/gateway/broker/timeshare"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/zioflow/gateway/broker/flow"
)

// seek finds a handler for a flow that is pending. It has a goroutine of its own:
// whatever a match costs, nobody waits for it but this flow.
func (r *Request) seek() {
	defer r.view.forget()
	err := r.findHandler()
	if err == nil || r.pending.Err() != nil {
		return
	}
	reason := flow.Rejected
	if end, ok := errors.AsType[*flow.Error](err); ok {
		reason = end.Reason
	}
	r.flow.stopPending(reason, err.Error())
}

// errGroupLeft: the listeners whose route took the flow have left, and their route
// with them.
var errGroupLeft = errors.New("the listeners have left")

// findHandler has the first route that takes the flow find a handler. Where that was
// listeners' own and they have left, the flow is as it was before. A match or a factory
// that panics costs one flow, not all of them (BRK-7).
func (r *Request) findHandler() (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			r.flow.broker.log.Error("finding a handler failed", "flow", r.flow.id, "at", r.step, "error", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = fmt.Errorf("%s failed: %v", r.step, cause)
		}
	}()
	switch no, err := r.denied(); {
	case err != nil:
		return err
	case no != nil:
		r.flow.deny(no)
		return nil
	}
	for why := ""; ; {
		way, err := r.search(why)
		if err != nil || !r.flow.take(way) {
			return err
		}
		r.step = "route " + way.Name
		if err = way.Factory.Find(r.pending, r); !errors.Is(err, errGroupLeft) {
			return err
		}
		why = fmt.Sprintf("the last listener named %s has left, and ", way.Name)
		r.flow.giveBack()
	}
}

// denied is why the client may not open a flow like this, by the match of its rights
// at its BOT.
func (r *Request) denied() (*flow.Error, error) {
	if r.right == nil {
		return nil, nil
	}
	r.step = "a right"
	turn, err := r.turn()
	if err != nil {
		return nil, err
	}
	defer turn.End()
	return Rights{Match: r.right}.mayHave(r.view), nil
}

// turn waits for a turn to evaluate matches.
func (r *Request) turn() (*timeshare.Turn, error) {
	return r.flow.broker.turns.Take(r.pending, r.view.Peer.Principal())
}

// search answers the first route that takes the BOT. While none does it waits for one
// that does, or for a listener; when HandlerWait is over, the error is NoHandler, of
// which the detail begins with why. Who has been asked is not asked again.
func (r *Request) search(why string) (*way, error) {
	var asked uint64
	wait := vacancy{request: r}
	defer wait.end()
	for {
		routes := r.flow.broker.routes.now()
		found, err := r.firstOf(routes.order, asked)
		if found != nil || err != nil {
			return found, err
		}
		asked = routes.born
		if err := wait.change(routes.changed, why+routes.askedAll()); err != nil {
			return nil, err
		}
	}
}

// firstOf answers the first of the routes that takes the BOT, of those that came
// after the asked ones.
func (r *Request) firstOf(order []*way, asked uint64) (*way, error) {
	turn, err := r.turn()
	if err != nil {
		return nil, err
	}
	defer turn.End()
	defer r.view.forget()
	for _, w := range order {
		r.step = "the match of route " + w.Name
		if w.group == nil {
			if w.born > asked && r.matches(w.Match) {
				return w, nil
			}
			if err := turn.Share(r.pending); err != nil {
				return nil, err
			}
			continue
		}
		listeners, _ := w.group.snapshot()
		for _, l := range listeners {
			if l.born > asked && r.takenBy(l) {
				return w, nil
			}
			if err := turn.Share(r.pending); err != nil {
				return nil, err
			}
		}
	}
	r.known = nil
	return nil, nil
}

// matches asks a match, or remembers what one with the same text has said: listeners
// of a name mostly have the same. The caller has a turn.
func (r *Request) matches(m Match) bool {
	if m == nil {
		return true
	}
	key := matchKey{reflect.TypeOf(m), matchText(m)}
	if key.text == "" {
		return m.Match(r.view)
	}
	takes, known := r.known[key]
	if !known {
		takes = m.Match(r.view)
		if r.known == nil {
			r.known = map[matchKey]bool{}
		}
		r.known[key] = takes
	}
	return takes
}

// matchKey is what matches have in common that say the same.
type matchKey struct {
	kind reflect.Type
	text string
}

// takenBy tells whether a listener would take the flow by its own match, and may be
// told of it. The caller has a turn.
func (r *Request) takenBy(l *Listener) bool { return r.tellable(l) && r.matches(l.spec.Match) }

// tellable tells whether a listener may be told of the flow by the rights that it has
// now. The caller has a turn.
func (r *Request) tellable(l *Listener) bool {
	if l.spec.Grant == nil {
		return true
	}
	rights := l.spec.Grant.Rights()
	if rights.mayTake(flow.Handler, r.view.Direction) != nil || rights.listenAs(l.spec.Name) == NameRefused {
		return false
	}
	if !r.matches(rights.Match) {
		return false
	}
	r.clear(rights.Match)
	return true
}

// vacancy is a time in which nobody is there who would handle a flow.
type vacancy struct {
	request *Request
	timer   *time.Timer // nil before it has begun
}

// change waits until the routes or listeners change. An error is *flow.Error with
// NoHandler when HandlerWait is over, or the cause for which the flow is not pending any
// more.
func (v *vacancy) change(changed <-chan struct{}, detail string) error {
	none := &flow.Error{Reason: flow.NoHandler, Detail: detail}
	wait := v.request.flow.limits.HandlerWait
	if wait == 0 {
		return none
	}
	v.request.IfLate(none.Reason, none.Detail)
	if v.timer == nil {
		v.timer = time.NewTimer(wait)
	}
	select {
	case <-changed:
		return nil
	case <-v.timer.C:
		return none
	case <-v.request.pending.Done():
		return context.Cause(v.request.pending)
	}
}

// end ends the vacancy: somebody is there.
func (v *vacancy) end() {
	if v.timer != nil {
		v.timer.Stop()
		v.timer = nil
	}
}

// clear takes note of a right's match that takes the flow, so that who accepts by it
// need not be asked where messages are received.
func (r *Request) clear(right Match) {
	if right == nil || !reflect.TypeOf(right).Comparable() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cleared == nil {
		r.cleared = map[Match]bool{}
	}
	r.cleared[right] = true
}

// isCleared tells whether clear has been called with that match.
func (r *Request) isCleared(right Match) bool {
	if right == nil || !reflect.TypeOf(right).Comparable() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cleared[right]
}

// take has the flow take a route; false if it is not pending any more.
func (f *Flow) take(w *way) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Phase() != flow.Pending {
		return false
	}
	f.way, f.request.route = w, &w.Route
	f.late = flow.Error{Reason: flow.HandlerTimeout, Detail: "no handler came in time"}
	w.tally.open()
	return true
}

// giveBack undoes take, unless the flow is not pending any more.
func (f *Flow) giveBack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Phase() == flow.Pending {
		f.way.tally.end()
		f.way = nil
	}
}

// deny ends the flow for want of its client's right.
func (f *Flow) deny(no *flow.Error) {
	f.mu.Lock()
	client := f.infos[flow.Client]
	f.mu.Unlock()
	f.broker.log.Warn("BOT refused", "flow", f.id, "peer", client, "reason", no.Reason.String(), "detail", no.Detail, "cause", string(no.Denied))
	f.broker.denied(client, no.Denied)
	f.stopPending(no.Reason, no.Detail)
}

// TakenBy is the route that the flow took, and who handles it; empty while there is
// none.
func (f *Flow) TakenBy() (route string, handler PeerInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.route(), f.infos[flow.Handler]
}
