package listeners

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
)

// ToListeners is the factory that offers flows to the listeners of a name,
// whatever their own match says, the least busy first. If there are none, the flow
// waits for one as long as HandlerWait, then ends with NoHandler; if all are full, it
// waits for a slot.
type ToListeners struct {
	Name string

	group *group    // of the listeners' own route, in which their matches count
	only  *Listener // who alone is asked, whatever its match says; nil for all
}

// Directly is where a flow goes that this listener alone is to be offered, whatever its
// match says. If it is full the flow ends with Overloaded at once, if it has left with
// NoHandler.
func (l *Listener) Directly() routing.Direct {
	return routing.Direct{Entry: l.group.entry, Factory: ToListeners{Name: l.spec.Name, group: l.group, only: l}}
}

// fullNow is the error of a flow for a listener that is full.
func (l *Listener) fullNow() error {
	l.group.mu.Lock()
	defer l.group.mu.Unlock()
	if !l.full() {
		return nil
	}
	return &flow.Error{Reason: flow.Overloaded, Detail: fmt.Sprintf("the listener named %s has as many flows as it takes", l.spec.Name)}
}

// Find implements Factory: it offers the request to one listener after another,
// until one accepts it or the flow ends.
func (t ToListeners) Find(ctx context.Context, r *routing.Request) error {
	o := &offering{to: t, request: r, group: t.group, wait: r.Vacancy(), tried: map[*Listener]bool{}}
	defer o.stop()
	if t.only != nil {
		if err := t.only.fullNow(); err != nil {
			return err
		}
	}
	for {
		if err := o.look(); err != nil {
			return o.over(err)
		}
		if len(o.candidates) == 0 && o.current == nil {
			if t.group != nil {
				return routing.ErrWithdrawn
			}
			if err := o.wait.Change(o.changed, o.nobody()); err != nil {
				return o.over(err)
			}
			continue
		}
		o.wait.End()
		o.queue()
		if err := o.step(ctx); err != nil {
			return o.over(err)
		}
	}
}

// offering is one request's way through the listeners of a name.
type offering struct {
	to      ToListeners
	request *routing.Request
	wait    *routing.Vacancy

	group      *group          // nil while there is none of the name
	changed    <-chan struct{} // closed when the listeners may be others
	asked      uint64          // listeners up to this number have been asked
	candidates []*Listener     // that take the request
	tried      map[*Listener]bool

	waiter  *waiter       // asks for a slot in another listener; may be nil
	current *Listener     // has an offer that stands; may be nil
	cid     uint64        // of it
	passed  chan struct{} // of it; receives when it was passed
	share   *time.Timer
	passOn  bool // the present listener's share is over
}

// look learns who listens now, and asks the matches of those who came since it did so
// last.
func (o *offering) look() error {
	routes := o.request.Table().Now()
	if routes.Changed == o.changed {
		return nil
	}
	o.changed = routes.Changed
	if o.to.group == nil {
		o.group = groupNamed(o.request.Table(), o.to.Name)
	}
	var listeners []*Listener
	if o.group != nil {
		listeners, _ = o.group.snapshot()
	}
	if only := o.to.only; only != nil {
		listeners = slices.DeleteFunc(slices.Clone(listeners), func(l *Listener) bool { return l != only })
	}
	o.candidates = slices.DeleteFunc(o.candidates, func(l *Listener) bool { return !slices.Contains(listeners, l) })
	fresh, err := o.ask(listeners)
	if err != nil {
		return err
	}
	o.asked = routes.Born
	o.candidates = append(o.candidates, fresh...)
	switch {
	case o.waiter == nil:
	case o.waiter.group != o.group: // all of its listeners have left
		o.waiter.group.unqueue(o.waiter)
		o.waiter = nil
	case len(fresh) > 0:
		o.group.extend(o.waiter, fresh)
	}
	return nil
}

// ask returns which of the listeners would take the request, of those who have not
// been asked.
func (o *offering) ask(listeners []*Listener) (fresh []*Listener, err error) {
	e, err := o.request.Evaluate()
	if err != nil {
		return nil, err
	}
	defer e.End()
	for _, l := range listeners {
		if l.born <= o.asked || slices.Contains(o.candidates, l) {
			continue
		}
		asks := o.to.group != nil && o.to.only == nil // the matches of listeners
		if !asks && l.tellable(e) || asks && l.takenBy(e) {
			fresh = append(fresh, l)
		}
		if err := e.Share(); err != nil {
			return nil, err
		}
	}
	e.Anew()
	return fresh, nil
}

// nobody says why a configured route finds no listener.
func (o *offering) nobody() string {
	if o.group == nil {
		return fmt.Sprintf("no listener named %s is registered", o.to.Name)
	}
	return fmt.Sprintf("no listener named %s may take this flow", o.to.Name)
}

// queue asks for a slot in a listener that has had no offer, unless one has an offer
// whose share is not over. Those that let it lapse are asked again when no other is
// left.
func (o *offering) queue() {
	if o.waiter != nil || o.current != nil && !o.passOn {
		return
	}
	untried := o.untried()
	if o.current == nil {
		if len(untried) == 0 {
			clear(o.tried)
			untried = o.candidates
		}
		o.lateForSlot()
	}
	if len(untried) > 0 {
		o.waiter = o.group.queue(untried)
	}
}

// lateForSlot says what it means if no slot is found in time.
func (o *offering) lateForSlot() {
	o.request.IfLate(flow.Overloaded, fmt.Sprintf("all listeners named %s have as many flows as they take", o.to.Name))
}

func (o *offering) untried() []*Listener {
	return slices.DeleteFunc(slices.Clone(o.candidates), func(l *Listener) bool { return o.tried[l] })
}

// step waits for the next thing to happen. An error is that the flow is not pending
// any more.
func (o *offering) step(ctx context.Context) error {
	var (
		turn         chan *Listener
		gone, passed chan struct{}
		share        <-chan time.Time
	)
	if o.waiter != nil {
		turn = o.waiter.turn
	}
	if o.current != nil {
		gone, passed = o.current.gone, o.passed
	}
	if o.share != nil {
		share = o.share.C
	}
	select {
	case l := <-turn:
		o.waiter = nil
		if l != nil {
			return o.offer(l)
		}
		o.changed = nil // all of them have left: look anew
	case <-gone:
		o.giveUp()
	case <-passed:
		o.giveUp()
	case <-share:
		o.passOn = true
		o.endShare()
	case <-o.changed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// giveUp takes the offer back from a listener that cannot take it any more, or not now.
func (o *offering) giveUp() {
	o.endShare()
	o.current.group.release(o.current)
	o.current = nil
	o.lateForSlot()
}

// offer makes a listener an offer, with a slot in it, in the stead of the one that
// had it before.
func (o *offering) offer(l *Listener) error {
	r := o.request
	if ok, err := o.stillTellable(l); err != nil || !ok {
		l.group.release(l)
		o.candidates = slices.DeleteFunc(o.candidates, func(other *Listener) bool { return other == l })
		return err
	}
	o.tried[l] = true
	until := o.until(l)
	offer, err := r.OfferUntil(l.offersFor(), until)
	if err != nil {
		l.group.release(l)
		return err
	}
	o.passBy(flow.HandlerTimeout)
	passed := make(chan struct{}, 1)
	offer.Pass = func() { passed <- struct{}{} }
	if err := l.spec.Sink.Offer(offer); err != nil {
		l.group.release(l)
		l.Close() // it can't be told, so is as good as gone
		return nil
	}
	r.IfLate(flow.HandlerTimeout, fmt.Sprintf("listener %s did not accept in time", o.to.Name))
	o.current, o.cid, o.passed, o.passOn = l, offer.CID, passed, false
	if until.Before(r.Deadline()) {
		o.share = time.NewTimer(time.Until(until))
	}
	return nil
}

// offersFor is the name of those who may accept its offers; empty for anybody. To a far
// one's offers nobody answers but its Sink, which knows the cid alone.
func (l *Listener) offersFor() string {
	if l.far() {
		return ""
	}
	return l.spec.Peer.Name
}

// stillTellable asks the rights of a listener again, which may have been withdrawn
// while the request waited for it.
func (o *offering) stillTellable(l *Listener) (bool, error) {
	if l.spec.Grant == nil {
		return true, nil
	}
	e, err := o.request.Evaluate()
	if err != nil {
		return false, err
	}
	defer e.End()
	e.Anew()
	return l.tellable(e), nil
}

// until is how long an offer to l stands: half of the time that is left while there
// is another to be offered it, who does not let offers lapse; all of it to the last
// one.
func (o *offering) until(l *Listener) time.Time {
	now, deadline := time.Now(), o.request.Deadline()
	another := func(other *Listener) bool { return other != l && !o.tried[other] && !other.group.isLate(other, now) }
	if !slices.ContainsFunc(o.candidates, another) {
		return deadline
	}
	return now.Add(deadline.Sub(now) / 2)
}

func (o *offering) endShare() {
	if o.share != nil {
		o.share.Stop()
		o.share = nil
	}
}

// passBy takes the offer back that stands, if one does.
func (o *offering) passBy(reason flow.Reason) {
	if o.current == nil {
		return
	}
	o.endShare()
	l := o.current
	o.current = nil
	switch reason {
	case flow.HandlerTimeout:
		l.group.lapsed(l)
	case flow.Rejected:
		l.group.answered(l)
	}
	l.spec.Sink.Withdraw(o.cid, reason)
	l.group.release(l)
}

// over settles what there is when the flow is not pending any more, or is to end with
// err, and returns what Find does.
func (o *offering) over(err error) error {
	end, ended := errors.AsType[*flow.Error](err)
	switch {
	case o.request.Pending().Err() == nil: // a route that finds nobody
		return err
	case ended:
		o.passBy(end.Reason)
	case o.current != nil: // it accepted, or somebody that it told
		l := o.current
		l.group.answered(l)
		o.request.OnEnd(func(flow.Reason) { l.group.release(l) })
	}
	return nil
}

// stop gives up what the offering waits for.
func (o *offering) stop() {
	o.wait.End()
	o.endShare()
	if o.waiter != nil {
		o.waiter.group.unqueue(o.waiter)
	}
}
