package zioflow

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// exchange is one side's part in a flow. One goroutine reads; who has the turn
// writes.
type exchange struct {
	gateway *Gateway
	stream  grpc.BidiStreamingClient[gatewayv1.OpenRequest, gatewayv1.OpenResponse]
	ctx     context.Context // the stream's
	cancel  context.CancelCauseFunc
	bot     *gatewayv1.Bot // the other side's

	turn chan struct{} // holds a token while somebody has the turn
	said bool          // EOT; guarded by turn

	eot  *gatewayv1.Eot // the other side's; the reader's
	done chan struct{}  // closed when the reader has returned
	err  error          // why the flow ended, nil if it completed; set before done
	// broken says that it was this side that ended it, by abort or a context; set
	// before done.
	broken bool
}

// errEnded: the stream takes no more messages, and the reader will know why.
var errEnded = errors.New("zioflow: the flow has ended")

// open sends a BOT and waits for the one that answers it. The exchange has no
// reader yet. An error leaves nothing behind.
func (g *Gateway) open(ctx context.Context, bot *gatewayv1.Bot) (*exchange, error) {
	ctx, cancel := g.scope(ctx)
	x := &exchange{
		gateway: g, ctx: ctx, cancel: cancel,
		turn: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if err := x.begin(bot); err != nil {
		cancel(nil)
		return nil, err
	}
	return x, nil
}

func (x *exchange) begin(bot *gatewayv1.Bot) error {
	first := &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: bot}}
	if err := x.gateway.checkSize(first); err != nil {
		return err
	}
	stream, err := x.gateway.flows.Open(x.ctx, x.gateway.calls...)
	if err != nil {
		return x.endError(err)
	}
	x.stream = stream
	if err := stream.Send(first); err != nil && !errors.Is(err, io.EOF) {
		return x.endError(err)
	}
	for {
		answer, err := stream.Recv()
		if err != nil {
			return x.endError(err)
		}
		if x.bot = answer.GetBot(); x.bot != nil {
			return nil
		}
		x.eot = answer.GetEot() // a refusal; its status follows
	}
}

// start begins to read: receive is called with one message after another. After
// an error no reader runs.
func (x *exchange) start(receive func(*gatewayv1.OpenResponse)) error {
	if !x.gateway.run(func() { x.read(receive) }) {
		x.cancel(ErrClosed)
		return ErrClosed
	}
	return nil
}

func (x *exchange) read(receive func(*gatewayv1.OpenResponse)) {
	defer close(x.done)
	for {
		message, err := x.stream.Recv()
		if err != nil {
			x.err, x.broken = x.endError(err), x.ctx.Err() != nil
			x.cancel(nil)
			return
		}
		if eot := message.GetEot(); eot != nil {
			x.eot = eot
		}
		receive(message)
	}
}

func (x *exchange) endError(err error) error {
	return x.gateway.endError(x.ctx, err, x.eot, x.bot.GetFlowId())
}

// enter waits for the turn, leave gives it back.
func (x *exchange) enter(ctx context.Context) error {
	select {
	case x.turn <- struct{}{}:
		return nil
	case <-x.done:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (x *exchange) leave() { <-x.turn }

// send sends a message; the caller has the turn. A message half sent can't be
// taken back, so when ctx ends meanwhile, the flow does. errEnded stands for
// what the reader knows.
func (x *exchange) send(ctx context.Context, m *gatewayv1.OpenRequest) error {
	if x.ctx.Err() != nil {
		return errEnded
	}
	stop := context.AfterFunc(ctx, func() { x.cancel(context.Cause(ctx)) })
	err := x.stream.Send(m)
	switch {
	case !stop():
		x.cancel(context.Cause(ctx))
		return context.Cause(ctx)
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return errEnded
	default: // of this side: gRPC has given the stream up
		err = fmt.Errorf("zioflow: %w", err)
		x.cancel(err)
		return err
	}
}

// sayEOT sends an EOT, unless one was sent.
func (x *exchange) sayEOT(ctx context.Context) error {
	if err := x.enter(ctx); err != nil {
		return err
	}
	defer x.leave()
	if x.said {
		return nil
	}
	x.said = true
	return x.send(ctx, &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}})
}

// finish says EOT and waits for the end. When ctx ends first, so does the flow.
func (x *exchange) finish(ctx context.Context) error {
	if err := x.sayEOT(ctx); err != nil && !errors.Is(err, errEnded) {
		x.cancel(err)
	}
	select {
	case <-x.done:
	case <-ctx.Done():
		x.cancel(context.Cause(ctx))
		<-x.done
	}
	return x.err
}

// abort ends the flow, if it has not ended, and waits for the reader.
func (x *exchange) abort() {
	x.cancel(ErrAborted)
	<-x.done
}

// checkSize refuses a message that gRPC would give the stream up for.
func (g *Gateway) checkSize(m proto.Message) error {
	if size := proto.Size(m); size > g.limit {
		return fmt.Errorf("%w: it has %d bytes, at most %d can be sent: see WithMaxMessage", ErrTooLarge, size, g.limit)
	}
	return nil
}
