package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// exchange is one stream's part in a flow: it numbers what the stream sends and
// queues what it is to be sent. All methods but take may be called
// concurrently.
type exchange struct {
	outbox *broker.Outbox
	caller *caller // nil where nobody is asked
	// settled is closed when the stream's BOT has been answered, or refused.
	settled  chan struct{}
	settling sync.Once
	// delivered and left count messages and their weight upwards; what is between
	// them is queued: in the outbox, or in gRPC, not written yet.
	delivered counter
	left      *tally      // apart, as a departure keeps it
	stall     stall       // begins when the flow has ended
	closed    atomic.Bool // nothing is queued any more
	broken    atomic.Bool // its reading half has panicked
	handed    bool        // gRPC was given something to write; used by the stream's handler alone

	cutOff atomic.Pointer[broker.EndError] // why an operator has disconnected it; nil before

	mu    sync.Mutex
	peer  *broker.Peer // guarded by mu
	seqno uint64       // guarded by mu; of the next message
	gone  bool         // guarded by mu
}

// newExchange makes a stream a peer of the broker. The stream is given up when it
// has taken nothing for the timeout after its flow has ended; tell is told then.
func newExchange(ctx context.Context, b *broker.Broker, timeout time.Duration, tell func()) *exchange {
	x := &exchange{
		outbox:  broker.NewOutbox(b.Options().OutboxLimit()),
		caller:  callerOf(ctx),
		settled: make(chan struct{}),
		left:    new(tally),
	}
	x.stall.ctx, x.stall.timeout, x.stall.tell = ctx, timeout, tell
	x.stall.moved = func() int64 { return x.left.messages.Load() + x.left.steps.Load() }
	x.peer = b.AttachWith(x, peerInfo(ctx), grant(ctx))
	return x
}

func peerInfo(ctx context.Context) broker.PeerInfo {
	info := broker.PeerInfo{Transport: "grpc"}
	if p, ok := peer.FromContext(ctx); ok {
		info.Address = p.Addr.String()
	}
	if c := callerOf(ctx); c != nil {
		info.Name = c.principal.Name()
	}
	return info
}

// returned is deferred by the stream's handler, after which gRPC may still have
// something to write.
func (x *exchange) returned() {
	if x.handed && x.stall.ctx.Err() == nil {
		x.stall.begin()
	} else {
		x.stall.finish()
	}
}

// tally is a counter of what has left, and of the steps in which large messages
// do.
type tally struct {
	counter
	steps atomic.Int64
}

// counter counts messages and their weight upwards.
type counter struct{ messages, bytes atomic.Int64 }

func (c *counter) add(bytes int64) {
	c.messages.Add(1)
	c.bytes.Add(bytes)
}

// Deliver implements broker.Link.
func (x *exchange) Deliver(d broker.Delivery) error {
	weight, kind := int64(d.Message.Weight()), d.Type
	x.delivered.add(weight)
	err := x.outbox.Deliver(d)
	if err != nil {
		x.left.add(weight)
	}
	if kind == zio.BOT {
		x.settle()
	}
	return err
}

// Flush implements broker.Link.
func (x *exchange) Flush() { x.outbox.Flush() }

// Queued implements broker.Link. Of what gRPC has not written, it leaves small
// messages out; a stream has 64 KiB of them at the most.
func (x *exchange) Queued() (messages, bytes int64) {
	if x.closed.Load() {
		return 0, 0
	}
	messages, bytes = x.left.messages.Load(), x.left.bytes.Load() // first: the difference is never too small
	return x.delivered.messages.Load() - messages, x.delivered.bytes.Load() - bytes
}

// Ended implements broker.Link.
func (x *exchange) Ended(reason flow.Reason, detail string) {
	x.outbox.Ended(reason, detail)
	x.settle()
	x.stall.begin()
}

func (x *exchange) settle() { x.settling.Do(func() { close(x.settled) }) }

// begin sends the stream's first message, which must be a BOT.
func (x *exchange) begin(first *request, implied zio.Direction) error {
	first.drop()
	if first.excess != nil {
		x.fail(first.excess)
		return nil
	}
	return x.bot(first.bot, implied)
}

// bot sends the stream's BOT. The RPC may imply a direction. After an error the
// stream has left.
func (x *exchange) bot(bot *gatewayv1.Bot, implied zio.Direction) (err error) {
	defer func() {
		if err != nil {
			x.leave("the BOT could not be read")
		}
	}()
	if bot == nil {
		return badField("bot", "must come first")
	}
	label, err := botLabel(bot, implied)
	if err != nil {
		return err
	}
	if err := x.caller.needForBot(label); err != nil {
		return err
	}
	a := newArrival(bot)
	a.Label = label
	return x.send(zio.BOT, a)
}

// pay sends a PAY of the gateway's own.
func (x *exchange) pay(credit int64) error { return x.send(zio.PAY, ownArrival(credit)) }

// eot sends an EOT of the gateway's own.
func (x *exchange) eot() error { return x.send(zio.EOT, ownArrival(0)) }

// send sends what the stream says, and takes it over. The error is the stream's
// fault.
func (x *exchange) send(t zio.Type, a *arrival) error {
	head, known, err := a.complete(t)
	if err != nil {
		a.Release()
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	a.Seqno = x.seqno
	x.seqno++
	switch {
	case x.gone:
		a.Release()
	case known:
		x.peer.ReceiveRead(head, &a.Message)
	default:
		x.peer.Receive(&a.Message)
	}
	return nil
}

// shut tells the broker that the stream will send nothing more.
func (x *exchange) shut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.gone {
		x.peer.Shut()
	}
}

// fail ends the flow because of an error in what the stream sent.
func (x *exchange) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.gone:
	case status.Code(err) == codes.ResourceExhausted:
		x.peer.Fail(flow.MessageTooLarge, status.Convert(err).Message())
	default:
		x.peer.Fail(flow.ProtocolError, status.Convert(err).Message())
	}
}

// leave takes the stream out of its flow. Leaving again does nothing.
func (x *exchange) leave(how string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.gone {
		x.gone = true
		x.peer.Leave(how)
		x.outbox.Close()
		x.closed.Store(true)
	}
}

// broke deals with an error of reading from the stream: the peer's fault ends
// the flow with a reason, anything else means that the peer has gone.
func (x *exchange) broke(err error) {
	switch status.Code(err) {
	case codes.ResourceExhausted, codes.InvalidArgument, codes.Internal:
		x.fail(err)
	default:
		x.leave(cause(err))
	}
}

// cause says in words why a stream ended.
func cause(err error) string {
	switch {
	case errors.Is(err, io.EOF):
		return "stream ended"
	case status.Code(err) == codes.Canceled:
		return "stream cancelled"
	case status.Code(err) == codes.DeadlineExceeded:
		return "the call's own deadline passed"
	default:
		return status.Convert(err).Message()
	}
}

// flow is the flow the stream takes part in; nil before.
func (x *exchange) flow() *broker.Flow {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.peer.Flow()
}

// unsent is the status to end the stream with, after gRPC has answered err to
// something that it was to send.
func (x *exchange) unsent(err error) error {
	if end := x.cutOff.Load(); end != nil {
		return x.result(end)
	}
	if x.stall.gaveUp() {
		return x.result(&broker.EndError{Reason: flow.Overrun, Detail: x.stall.detail()})
	}
	return err
}

// result is the status to end the stream with, after take has answered err.
func (x *exchange) result(err error) error {
	if x.broken.Load() {
		return errBroken
	}
	end, ok := errors.AsType[*broker.EndError](err)
	if !ok {
		return status.FromContextError(err).Err()
	}
	var id broker.FlowID
	if f := x.flow(); f != nil {
		id = f.ID()
	}
	return endError(end, id)
}
