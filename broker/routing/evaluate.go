package routing

import (
	"reflect"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/timeshare"
)

// Evaluation is a time in which matches are asked for a request. One goroutine has it.
type Evaluation struct {
	request *Request
	turn    *timeshare.Turn
}

// Evaluate waits for its client's turn. The error is the cause for which the flow is not
// pending any more. It is called by the goroutine that Find has.
func (r *Request) Evaluate() (*Evaluation, error) {
	turn, err := r.router.Scheduler.Take(r.pending, r.view.Peer.Principal())
	if err != nil {
		return nil, err
	}
	return &Evaluation{r, turn}, nil
}

// View is what the matches see.
func (e *Evaluation) View() *matching.View { return e.request.view }

// Share lets others have the turn, if it has lasted long. After an error the evaluation
// is over.
func (e *Evaluation) Share() error { return e.turn.Share(e.request.pending) }

// End gives the turn back, and lets go of what is large of what the BOT was read into.
func (e *Evaluation) End() {
	e.turn.End()
	e.request.view.Forget()
}

// Anew forgets what matches have said.
func (e *Evaluation) Anew() { e.request.known = nil }

// Matches asks a match, or remembers what one with the same text has said: listeners
// of a name mostly have the same.
func (e *Evaluation) Matches(m matching.Match) bool {
	if m == nil {
		return true
	}
	r := e.request
	key := matchKey{reflect.TypeOf(m), matching.Text(m)}
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

// MayTell tells whether a listener of that name may be told of the flow by the rights that
// it has now; it may by no grant at all.
func (e *Evaluation) MayTell(grant rights.Grant, name string) bool {
	if grant == nil {
		return true
	}
	has := grant.Rights()
	if has.MayTake(flow.Handler, e.request.view.Direction) != nil || has.ListenAs(name) == rights.NameRefused {
		return false
	}
	if !e.Matches(has.Match) {
		return false
	}
	e.request.clear(has.Match)
	return true
}

// clear takes note of a right's match that takes the flow, so that who accepts by it
// need not be asked where messages are received.
func (r *Request) clear(right matching.Match) {
	if right == nil || !reflect.TypeOf(right).Comparable() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cleared == nil {
		r.cleared = map[matching.Match]bool{}
	}
	r.cleared[right] = true
}

// isCleared tells whether clear has been called with that match.
func (r *Request) isCleared(right matching.Match) bool {
	if right == nil || !reflect.TypeOf(right).Comparable() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cleared[right]
}
