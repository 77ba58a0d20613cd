package routing

import (
	"context"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Factory finds handlers.
type Factory interface {
	// Find sees to it that a handler accepts the request: starts one, or tells
	// one. It has a goroutine of its own and may return before the handler has
	// come. An error refuses the flow: a *flow.Error with its reason, any other
	// with Rejected. The context ends when the flow is not pending any more; its
	// cause is a *flow.Error if the flow has ended.
	Find(context.Context, *Request) error
}

// Flow is a flow that is pending, as its request sees it. Its methods may be called
// concurrently.
type Flow interface {
	ID() transport.FlowID
	// Take has the flow take a route; false if it is not pending any more. GiveBack
	// undoes it, unless the flow is not pending any more.
	Take(*Entry) bool
	GiveBack()
	// Offer is what a handler needs to know, with a cid that is asked for only while
	// the flow is pending, and which it is false after.
	Offer(cid func() uint64) (offer Offer, pending bool, err error)
	// IfLate says what it means if no handler has come by the deadline.
	IfLate(*flow.Error)
	// OnEnd is Request.OnEnd.
	OnEnd(func(flow.Reason))
	// Refuse ends the flow, unless a handler has come meanwhile.
	Refuse(*flow.Error)
}

// Request is a pending flow that wants a handler. Its methods may be called
// concurrently.
type Request struct {
	router   *Router
	flow     Flow
	wait     time.Duration  // for a route that takes the flow; 0 for not at all
	deadline time.Time      // set before it seeks
	view     *matching.View // likewise
	right    matching.Match // likewise; what the client's rights say of the flow; nil for nothing
	route    *Route         // set before a factory sees it
	direct   *Direct        // set before it seeks; nil has a route looked for

	known map[matchKey]bool // what matches have said; used by Seek alone
	step  string            // what Seek is at, to tell of its panic; likewise

	passed *Passed // the latest whom the flow could not be taken by; nil for nobody; likewise

	mu      sync.Mutex
	cleared map[matching.Match]bool // guarded by mu; rights' matches that take the flow

	pending context.Context
	settle  context.CancelCauseFunc // ends pending
	cid     uint64                  // guarded by router.Offers.mu; 0 before the first offer
	owner   string                  // guarded by router.Offers.mu; to whom the cid was offered, empty for anybody
}

// Direct is where a flow goes for which no route is looked for: it counts as the Entry's,
// and the Factory has to find its handler.
type Direct struct {
	Entry   *Entry
	Factory Factory
}

// Go has the request go there. It is called before Seek.
func (r *Request) Go(to Direct) { r.direct = &to }

// Settle tells that the flow is not pending any more, and why: a *flow.Error if it has
// ended. Its offer is void from then on.
func (r *Request) Settle(cause error) {
	r.router.Offers.drop(r)
	r.settle(cause)
}

// Offer is what a handler needs to know to accept a request.
type Offer struct {
	// CID is the token to put into the handler's BOT (BRK-5).
	CID uint64
	// Bot is the client's BOT as the handler should see it, with the cid: the
	// direction is the handler's. Not to be changed.
	Bot *zio.Message
	// Direction is the handler's.
	Direction zio.Direction
	// Credit is what the client offers, lowered to the broker's limit and the
	// route's; 0 if it leaves that to the handler.
	Credit int64
	// Deadline is when the offer lapses.
	Deadline time.Time
	// Client is who opened the flow.
	Client transport.PeerInfo
	// Pass gives the offer back: whom it was made to cannot take it now, and the flow is
	// offered to the next, or waits. It may be called once, and concurrently; nil where an
	// offer cannot be passed.
	Pass func()
}

// Offer makes an offer of the request, which any peer may accept that may be a
// handler. An earlier one is void from then on. It is an error if the flow is
// not pending any more.
func (r *Request) Offer() (Offer, error) { return r.OfferTo("") }

// OfferTo makes an offer that only peers of that name may accept or decline, who
// have proved it; anybody if it is empty.
func (r *Request) OfferTo(owner string) (Offer, error) { return r.OfferUntil(owner, r.deadline) }

// OfferUntil is OfferTo for an offer that stands until then.
func (r *Request) OfferUntil(owner string, until time.Time) (Offer, error) {
	offer, pending, err := r.flow.Offer(func() uint64 { return r.router.Offers.put(r, owner) })
	if !pending {
		return Offer{}, context.Cause(r.pending)
	}
	offer.Deadline = until
	return offer, err
}

// Flow is the number of the flow that wants a handler.
func (r *Request) Flow() transport.FlowID { return r.flow.ID() }

// View is what the routes have seen of the client's BOT.
func (r *Request) View() *matching.View { return r.view }

// Route is the route that the flow took.
func (r *Request) Route() Route { return *r.route }

// Table is the routes among which a handler is looked for.
func (r *Request) Table() *Table { return &r.router.Table }

// Deadline is when the flow is given up if no handler has come.
func (r *Request) Deadline() time.Time { return r.deadline }

// Pending ends when the flow is not pending any more, with the cause that Find's context
// has.
func (r *Request) Pending() context.Context { return r.pending }

// IfLate says what it means if no handler has come by the deadline.
func (r *Request) IfLate(reason flow.Reason, detail string) {
	r.flow.IfLate(&flow.Error{Reason: reason, Detail: detail})
}

// OnEnd has done called once when the flow has ended, or now if it has, after those
// that were given before. It is called with the flow locked, so must not call back.
func (r *Request) OnEnd(done func(flow.Reason)) { r.flow.OnEnd(done) }

// Refuse ends the flow with that reason, unless a handler has come meanwhile.
func (r *Request) Refuse(reason flow.Reason, detail string) {
	r.flow.Refuse(&flow.Error{Reason: reason, Detail: detail})
}
