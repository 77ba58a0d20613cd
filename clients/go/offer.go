package zioflow

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
)

// Offer is a flow that waits for a handler. It can be accepted once. All its
// methods may be called concurrently.
type Offer struct {
	// Bot is the client's.
	Bot
	// Direction is what the handler would do: Extract = Give, Inject = Take. 0
	// where that is not known here, and the gateway sees to it.
	Direction Direction
	// Deadline is when the offer lapses.
	Deadline time.Time
	// Peer is who opened the flow.
	Peer Peer
	// LeftOut is what of the Bot is not here, as it was too large; zero for nothing.
	LeftOut LeftOut

	gateway  *Gateway
	cid      uint64
	withdraw context.CancelCauseFunc // ends the Handler's context
	used     atomic.Bool             // accepted or declined, or tried to be
	declined atomic.Bool
	flow     atomic.Pointer[exchange] // nil until accepted
}

// LeftOut is what an offer does not have of its Bot, as it would have been larger than
// what is received here: WithMaxMessage bounds that.
type LeftOut struct {
	// PayloadBytes and PayloadParts are the payload's, if it is left out.
	PayloadBytes uint64
	PayloadParts int
	// LabelBytes is the label's, if it is left out, and with it all Attributes.
	LabelBytes uint64
}

// TakenBy is what took a flow.
type TakenBy struct {
	// Route is the name of the route.
	Route string
	// Peer is the handler.
	Peer Peer
}

func decodeTakenBy(t *gatewayv1.TakenBy) TakenBy {
	return TakenBy{t.GetRoute(), Peer{t.GetTransport(), t.GetAddress(), t.GetIdentity()}}
}

// Peer is what is attached to the gateway on one side of a flow.
type Peer struct {
	// Transport is "zmq-server" (a CLIENT socket), "zmq-router" (a DEALER),
	// "grpc" or "builtin".
	Transport string
	// Address is its network address, where known.
	Address string
	// Identity is its name, where it has shown one.
	Identity string
}

func newOffer(g *Gateway, o *gatewayv1.Offer, withdraw context.CancelCauseFunc) *Offer {
	return &Offer{
		Bot:       decodeBot(o.GetBot()),
		Direction: Direction(o.GetBot().GetDirection()),
		Deadline:  o.GetDeadline().AsTime(),
		Peer: Peer{
			Transport: o.GetPeer().GetTransport(),
			Address:   o.GetPeer().GetAddress(),
			Identity:  o.GetPeer().GetIdentity(),
		},
		LeftOut: LeftOut{
			PayloadBytes: o.GetBot().GetLeftOut().GetPayloadBytes(),
			PayloadParts: int(o.GetBot().GetLeftOut().GetPayloadParts()),
			LabelBytes:   o.GetBot().GetLeftOut().GetLabelBytes(),
		},
		gateway: g, cid: o.GetCid(), withdraw: withdraw,
	}
}

// Offer is the offer with a cid that the program was told by other means: a route
// has started it for one flow, and it finds the cid in its environment as
// ZIO_GATEWAY_CID. Nothing but the cid is known of the offer here.
func (g *Gateway) Offer(cid uint64) *Offer { return &Offer{gateway: g, cid: cid} }

// CID is the token by which the offer is accepted, once: by Give or Take, or by a BOT that
// has it, from whatever connection and transport.
func (o *Offer) CID() uint64 { return o.cid }

// Give accepts an offer whose Direction is Extract. The bot's Credit may be
// lower than the client's, and 0 agrees with that; native handlers send the
// offered Bot back. The ctx bounds the whole flow. The error is ErrOffer if the
// offer is not to be accepted this way, and leaves it as it was; a *FlowError
// if it is gone.
func (o *Offer) Give(ctx context.Context, bot Bot) (*Giver, error) {
	x, err := o.accept(ctx, bot, Extract)
	if err != nil {
		return nil, err
	}
	g, err := newGiver(x)
	if err == nil {
		o.flow.Store(x)
	}
	return g, err
}

// Take accepts an offer whose Direction is Inject; otherwise it is like Give.
func (o *Offer) Take(ctx context.Context, bot Bot) (*Taker, error) {
	x, err := o.accept(ctx, bot, Inject)
	if err != nil {
		return nil, err
	}
	t, err := newTaker(x)
	if err == nil {
		o.flow.Store(x)
	}
	return t, err
}

func (o *Offer) accept(ctx context.Context, bot Bot, d Direction) (*exchange, error) {
	if o.Direction != 0 && d != o.Direction {
		return nil, fmt.Errorf("%w: its handler has to %v", ErrOffer, o.Direction)
	}
	message, err := bot.encode(d)
	if err != nil {
		return nil, err
	}
	if !o.used.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("%w: it was accepted or declined before", ErrOffer)
	}
	message.Cid = o.cid
	return o.gateway.open(ctx, message)
}

// Decline refuses the offer: its client sees Rejected, and why, in the first 1,024
// bytes of it. ErrOffer if it
// was accepted or declined before; a gRPC status of NOT_FOUND if it is gone.
func (o *Offer) Decline(ctx context.Context, why string) error {
	if !o.used.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: it was accepted or declined before", ErrOffer)
	}
	return o.decline(ctx, why)
}

func (o *Offer) decline(ctx context.Context, why string) error {
	ctx, cancel := o.gateway.scope(ctx)
	defer cancel(nil)
	_, err := o.gateway.handlers.Decline(ctx, &gatewayv1.DeclineRequest{
		Cid: o.cid, Detail: text.Detail(why),
	}, o.gateway.calls...)
	if err != nil {
		return o.gateway.endError(ctx, err, nil, 0)
	}
	o.declined.Store(true)
	return nil
}

// conclude leaves nothing open after the Handler has returned.
func (o *Offer) conclude(ctx context.Context, err error) {
	if x := o.flow.Load(); x != nil {
		x.abort()
		return
	}
	if o.declined.Load() || ctx.Err() != nil { // ended: withdrawn
		return
	}
	why := "the handler did not accept"
	if err != nil {
		why = err.Error()
	}
	_ = o.decline(ctx, why) // an offer that is gone needs no refusal
}
