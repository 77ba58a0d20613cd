package zioflow

import (
	"context"
	"errors"
	"sync"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Giver is the giving side of a flow. It has a goroutine until the flow ends:
// every Giver has to be closed or aborted, or its context to end. All its
// methods may be called concurrently.
type Giver struct {
	exchange *exchange
	credit   purse
	ended    chan struct{} // closed when the taker has said EOT before this side

	closing sync.Once
	closed  chan struct{} // closed by Close
}

// Give opens a flow as a client that gives, and waits for its handler's answer.
// The ctx bounds the whole flow. The error is a *FlowError if the gateway or
// the handler refused.
func (g *Gateway) Give(ctx context.Context, bot Bot) (*Giver, error) {
	message, err := bot.encode(Extract)
	if err != nil {
		return nil, err
	}
	x, err := g.open(ctx, message)
	if err != nil {
		return nil, err
	}
	return newGiver(x)
}

func newGiver(x *exchange) (*Giver, error) {
	g := &Giver{
		exchange: x, credit: newPurse(),
		ended: make(chan struct{}), closed: make(chan struct{}),
	}
	if err := x.start(g.receive); err != nil {
		return nil, err
	}
	return g, nil
}

// receive is called by the reader.
func (g *Giver) receive(m *gatewayv1.OpenResponse) {
	switch {
	case m.GetPay() != nil:
		g.credit.pay(m.GetPay().GetCredit())
	case m.GetEot() != nil && Reason(m.GetEot().GetReason()) == Unknown:
		if !isClosed(g.ended) {
			close(g.ended)
		}
		// Answered at once: the taker's Close should not wait for the next Put.
		_ = g.exchange.sayEOT(g.exchange.ctx) // what is wrong, the reader learns
	}
}

// Bot is the taker's. Its Credit is what both sides agreed on.
func (g *Giver) Bot() Bot { return decodeBot(g.exchange.bot) }

// TakenBy is who handles the flow; zero for the handler itself.
func (g *Giver) TakenBy() TakenBy { return decodeTakenBy(g.exchange.bot.GetTakenBy()) }

// FlowID is the id by which operators know the flow.
func (g *Giver) FlowID() uint64 { return g.exchange.bot.GetFlowId() }

// Put waits for credit and sends dat, which it does not keep. Concurrent calls
// take turns.
//
// When ctx ends while Put waits for credit, nothing was sent, and the flow goes
// on; when ctx ends while the message is on its way out, the flow is aborted.
// ErrInvalid and ErrTooLarge leave the flow as it was.
// ErrTakerEnded, ErrClosed, or what ended the flow, is every later call's
// answer as well.
//
// That Put answers nil does not say that dat has arrived: only Close does.
func (g *Giver) Put(ctx context.Context, dat Dat) error {
	message, err := dat.encode()
	if err != nil {
		return err
	}
	request := &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: message}}
	if err := g.exchange.gateway.checkSize(request); err != nil {
		return err
	}
	if err = g.put(ctx, request); errors.Is(err, errEnded) {
		<-g.exchange.done
		return g.over()
	}
	return err
}

func (g *Giver) put(ctx context.Context, request *gatewayv1.OpenRequest) error {
	if err := g.exchange.enter(ctx); err != nil {
		return err
	}
	defer g.exchange.leave()
	if err := g.spend(ctx); err != nil {
		return err
	}
	return g.exchange.send(ctx, request)
}

// spend waits for credit.
func (g *Giver) spend(ctx context.Context) error {
	for {
		if err := g.over(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if g.credit.spend() {
			return nil
		}
		select {
		case <-g.credit.paid:
		case <-g.closed:
		case <-g.ended:
		case <-g.exchange.done:
		case <-ctx.Done():
		}
	}
}

// over is why nothing more can be put; nil if something can.
func (g *Giver) over() error {
	switch {
	case isClosed(g.closed):
		return ErrClosed
	case isClosed(g.exchange.done) && g.exchange.err != nil:
		return g.exchange.err
	case isClosed(g.ended), isClosed(g.exchange.done):
		return ErrTakerEnded
	default:
		return nil
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Close says EOT and waits for the taker's answer. It answers nil only if the
// flow completed, and ErrTakerEnded if the taker said EOT first. A taker that
// has had enough in the very moment of this EOT can't be told from one that
// answers it. A Put that waits for credit answers ErrClosed.
//
// When ctx ends first, the flow is aborted. Closing again answers the same.
func (g *Giver) Close(ctx context.Context) error {
	g.closing.Do(func() { close(g.closed) })
	if err := g.exchange.finish(ctx); err != nil {
		return err
	}
	if isClosed(g.ended) {
		return ErrTakerEnded
	}
	return nil
}

// Abort ends the flow at once, if it has not ended: the taker is told PeerGone.
// It returns when the Giver's goroutine has.
func (g *Giver) Abort() { g.exchange.abort() }
