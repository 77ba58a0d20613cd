package broker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// Factory finds handlers.
type Factory interface {
	// Find sees to it that a handler accepts the request: starts one, or tells
	// one. It has a goroutine of its own and may return before the handler has
	// come. An error refuses the flow: an *flow.Error with its reason, any other
	// with Rejected. The context ends when the flow is not pending any more; its
	// cause is an *flow.Error if the flow has ended.
	Find(context.Context, *Request) error
}

// Request is a pending flow that wants a handler. Its methods may be called
// concurrently.
type Request struct {
	flow     *Flow
	deadline time.Time // set before seek
	view     *View     // likewise
	right    Match     // likewise; what the client's rights say of the flow; nil for nothing
	route    *Route    // set before a factory sees it

	known map[matchKey]bool // what matches have said; used by seek alone
	step  string            // what seek is at, to tell of its panic; likewise

	mu      sync.Mutex
	cleared map[Match]bool // guarded by mu; rights' matches that take the flow

	pending context.Context
	settle  context.CancelCauseFunc // ends pending
	cid     uint64                  // guarded by broker.mu; 0 before the first offer
	owner   string                  // guarded by broker.mu; to whom the cid was offered, empty for anybody
}

func newRequest(f *Flow) *Request {
	r := &Request{flow: f}
	r.pending, r.settle = context.WithCancelCause(context.Background())
	return r
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
	Client PeerInfo
}

// Offer makes an offer of the request, which any peer may accept that may be a
// handler. An earlier one is void from then on. It is an error if the flow is
// not pending any more.
func (r *Request) Offer() (Offer, error) { return r.OfferTo("") }

// OfferTo makes an offer that only peers of that name may accept or decline, who
// have proved it; anybody if it is empty.
func (r *Request) OfferTo(owner string) (Offer, error) { return r.offerUntil(owner, r.deadline) }

// offerUntil is OfferTo for an offer that stands until then.
func (r *Request) offerUntil(owner string, until time.Time) (Offer, error) {
	f := r.flow
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Phase() != flow.Pending {
		return Offer{}, context.Cause(r.pending)
	}
	direction := f.direction.Reverse()
	credit := max(0, min(f.offered.Value, f.maxCredit()))
	cid := f.broker.putOffer(r, owner)
	label, err := zio.RewriteBot(f.bot.Label, direction, credit, cid)
	if err != nil {
		return Offer{}, err
	}
	offered := *f.bot
	offered.Label = label
	return Offer{
		CID: cid, Bot: &offered, Direction: direction, Credit: credit,
		Deadline: until, Client: f.infos[flow.Client],
	}, nil
}

// Flow is the number of the flow that wants a handler.
func (r *Request) Flow() FlowID { return r.flow.id }

// View is what the routes have seen of the client's BOT.
func (r *Request) View() *View { return r.view }

// Route is the route that the flow took.
func (r *Request) Route() Route { return *r.route }

// IfLate says what it means if no handler has come by the deadline.
func (r *Request) IfLate(reason flow.Reason, detail string) {
	r.flow.mu.Lock()
	defer r.flow.mu.Unlock()
	r.flow.late = flow.Error{Reason: reason, Detail: detail}
}

// OnEnd has done called once when the flow has ended, or now if it has, after those
// that were given before. It is called with the flow locked, so must not call back.
func (r *Request) OnEnd(done func(flow.Reason)) {
	r.flow.mu.Lock()
	defer r.flow.mu.Unlock()
	if r.flow.state.Phase() == flow.Ended {
		done(r.flow.state.Reason())
		return
	}
	r.flow.onEnd = append(r.flow.onEnd, done)
}

// putOffer gives the request a fresh cid, from which nobody can tell another.
func (b *Broker) putOffer(r *Request, owner string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.offers, r.cid)
	for r.cid = 0; r.cid == 0 || b.offers[r.cid] != nil; {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		r.cid = binary.LittleEndian.Uint64(random[:]) & zio.MaxCID
	}
	b.offers[r.cid], r.owner = r, owner
	b.offersMade++
	return r.cid
}

// takeOffer answers the request that was offered with this cid, once. One that
// was offered to somebody else than name stays as it is, and is foreign.
func (b *Broker) takeOffer(cid zio.Number, name string) (r *Request, foreign bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r = b.offered(cid)
	if r == nil {
		return nil, false
	}
	if r.owner != "" && r.owner != name {
		return nil, true
	}
	delete(b.offers, r.cid)
	return r, false
}

// offered answers the request that is offered with this cid. b.mu is held.
func (b *Broker) offered(cid zio.Number) *Request {
	if cid.Form != zio.Integer || cid.Value <= 0 {
		return nil
	}
	return b.offers[uint64(cid.Value)]
}

// mayAccept tells whether the flow that is offered with this cid, if one is, may be
// accepted by these rights. It is asked for where messages are received: mostly the
// match was asked before the offer was made; where it was not, as for offers to
// anybody, it costs no more than reading the BOT did.
func (b *Broker) mayAccept(cid zio.Number, rights Rights) *flow.Error {
	b.mu.Lock()
	r := b.offered(cid)
	b.mu.Unlock()
	if r == nil || rights.Match == nil || r.isCleared(rights.Match) {
		return nil
	}
	defer r.view.forget()
	return rights.mayHave(r.view)
}

func (b *Broker) dropOffer(r *Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.offers[r.cid] == r {
		delete(b.offers, r.cid)
	}
}

// Errors of Decline.
var (
	// ErrNoOffer: it was accepted, withdrawn or never made.
	ErrNoOffer = errors.New("no offer has this cid: it was accepted, withdrawn or never made")
	// ErrForeignOffer: it was made to somebody else.
	ErrForeignOffer = errors.New(errForeignCID.Detail)
)

// Decline refuses the request that was offered with this cid, on behalf of that
// peer: its client is told.
func (b *Broker) Decline(by PeerInfo, cid uint64, detail string) error {
	if cid > zio.MaxCID {
		return ErrNoOffer
	}
	r, foreign := b.takeOffer(zio.Number{Value: int64(cid), Form: zio.Integer}, by.Name)
	switch {
	case foreign:
		b.say(slog.LevelWarn, lineDenied, by, "decline refused", "peer", by, "detail", errForeignCID.Detail, "cause", string(flow.DeniedCID))
		b.denied(by, flow.DeniedCID)
		return ErrForeignOffer
	case r == nil:
		return ErrNoOffer
	}
	r.flow.stopPending(flow.Rejected, detail)
	return nil
}
