package zioflow

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Taker is the taking side of a flow. It pays by itself: all of the credit at
// the beginning, and then again as messages are taken: whenever half of the credit
// was, and one by one from a slow taker and once the giver has said EOT. It has
// goroutines until the flow ends: every Taker has to be closed, aborted or taken from
// to the end, or its context to end. All its methods may be called concurrently.
type Taker struct {
	exchange *exchange
	till     till
	shelf    shelf
	ended    chan struct{} // closed when the giver's EOT was read, so all is on the shelf

	closing sync.Once
	closed  chan struct{} // closed by Close
}

// Take opens a flow as a client that takes, and waits for its handler's answer.
// The ctx bounds the whole flow. The error is a *FlowError if the gateway or
// the handler refused.
func (g *Gateway) Take(ctx context.Context, bot Bot) (*Taker, error) {
	message, err := bot.encode(Inject)
	if err != nil {
		return nil, err
	}
	x, err := g.open(ctx, message)
	if err != nil {
		return nil, err
	}
	return newTaker(x)
}

func newTaker(x *exchange) (*Taker, error) {
	t := &Taker{
		exchange: x, till: newTill(x.bot.GetCredit()),
		shelf: newShelf(), ended: make(chan struct{}), closed: make(chan struct{}),
	}
	t.pay(x.bot.GetCredit())
	if err := x.start(t.receive); err != nil {
		return nil, err
	}
	if !x.gateway.run(t.keepPaying) {
		x.abort()
		return nil, ErrClosed
	}
	return t, nil
}

// receive is called by the reader.
func (t *Taker) receive(m *gatewayv1.OpenResponse) {
	switch {
	case m.GetDat() != nil && isClosed(t.closed): // after Close the rest is drained
	case m.GetDat() != nil:
		for room := t.shelf.put(decodeDat(m.GetDat())); !room; room = t.shelf.hasRoom() {
			select {
			case <-t.shelf.room:
			case <-t.closed:
				return
			case <-t.exchange.ctx.Done():
				return
			}
		}
	case m.GetEot() != nil && Reason(m.GetEot().GetReason()) == Unknown && !isClosed(t.ended):
		t.till.last()
		close(t.ended)
	}
}

// keepPaying pays when that is due, until the flow ends. Who takes does not wait for it.
func (t *Taker) keepPaying() {
	for {
		select {
		case <-t.till.due:
			t.pay(t.till.pay())
		case <-t.exchange.done:
			return
		}
	}
}

// pay hands credit to the giver. Errors are the reader's to see.
func (t *Taker) pay(credit int64) {
	x := t.exchange
	if credit == 0 || x.enter(x.ctx) != nil {
		return
	}
	defer x.leave()
	if !x.said {
		_ = x.send(x.ctx, &gatewayv1.OpenRequest{
			Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: credit}},
		})
	}
}

// Bot is the giver's. Its Credit is what both sides agreed on.
func (t *Taker) Bot() Bot { return decodeBot(t.exchange.bot) }

// TakenBy is who handles the flow; zero for the handler itself.
func (t *Taker) TakenBy() TakenBy { return decodeTakenBy(t.exchange.bot.GetTakenBy()) }

// FlowID is the id by which operators know the flow.
func (t *Taker) FlowID() uint64 { return t.exchange.bot.GetFlowId() }

// Next waits for a message. It belongs to the caller.
//
// After the last message Next answers the giver's EOT, so that the giver knows
// that all was taken, and then io.EOF if the flow completed. So no call should come
// later after the one before than the gateway waits for an EOT (30 s, unless
// configured). If the flow fails, the messages that had come are returned first, then
// the error.
//
// When ctx ends, no message is lost, and the flow goes on, unless the EOT is on
// its way out: then it is aborted.
func (t *Taker) Next(ctx context.Context) (Dat, error) {
	for {
		switch {
		case isClosed(t.closed):
			return Dat{}, ErrClosed
		case ctx.Err() != nil:
			return Dat{}, context.Cause(ctx)
		}
		ended, done := isClosed(t.ended), isClosed(t.exchange.done) // before the shelf is looked at
		if done && t.exchange.broken {
			return Dat{}, t.over()
		}
		if dat, ok := t.shelf.take(); ok {
			t.till.take()
			return dat, nil
		}
		switch {
		case done:
			return Dat{}, t.over()
		case ended:
			return Dat{}, t.answer(ctx)
		}
		select {
		case <-t.shelf.came:
		case <-t.ended:
		case <-t.exchange.done:
		case <-t.closed:
		case <-ctx.Done():
		}
	}
}

// answer says EOT in answer to the giver's, and waits for the end.
func (t *Taker) answer(ctx context.Context) error {
	if err := t.exchange.sayEOT(ctx); err != nil && !errors.Is(err, errEnded) {
		return err
	}
	select {
	case <-t.exchange.done:
		return t.over()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *Taker) over() error {
	if t.exchange.err != nil {
		return t.exchange.err
	}
	return io.EOF
}

// All is the messages that Next answers, until the end. Any error but io.EOF
// comes last, with an empty Dat. To break off leaves the flow open.
func (t *Taker) All(ctx context.Context) iter.Seq2[Dat, error] {
	return func(yield func(Dat, error) bool) {
		for {
			dat, err := t.Next(ctx)
			if errors.Is(err, io.EOF) || !yield(dat, err) || err != nil {
				return
			}
		}
	}
}

// Close ends the flow, early unless Next has answered io.EOF: it says EOT,
// drops what is under way, and waits for the giver's EOT. It answers nil only
// if the flow completed. A giver that says EOT in the same moment takes this one
// for its answer; Abort leaves it in no doubt.
//
// When ctx ends first, the flow is aborted. Closing again answers the same.
func (t *Taker) Close(ctx context.Context) error {
	if !isClosed(t.exchange.done) {
		t.closing.Do(func() {
			close(t.closed)
			t.shelf.drop()
		})
	}
	return t.exchange.finish(ctx)
}

// Abort ends the flow at once, if it has not ended: the giver is told PeerGone.
// It returns when the Taker's goroutine has.
func (t *Taker) Abort() { t.exchange.abort() }
