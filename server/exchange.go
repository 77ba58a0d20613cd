package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
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
	ctx    context.Context // the stream's
	outbox *broker.Outbox
	caller *caller // nil where nobody is asked
	grace  time.Duration
	// settled is closed when the stream's BOT has been answered, or refused; ended when
	// the flow has ended, or was refused.
	settled, ended   chan struct{}
	settling, ending sync.Once
	// delivered and left count messages and their weight upwards; what is between
	// them is queued: in the outbox, or in gRPC, not written yet.
	delivered counter
	left      *tally       // apart, as messages on their way keep it
	dats      atomic.Int64 // delivered
	eotCame   atomic.Bool  // from the other side
	stall     stall
	account   *broker.ByteAccount
	closed    atomic.Bool // nothing is queued any more
	broken    atomic.Bool // its reading half has panicked
	opens     bool        // as a client; used by the stream's handler alone

	cutOff atomic.Pointer[broker.EndError] // why an operator has disconnected it; nil before

	mu     sync.Mutex
	peer   *broker.Peer // guarded by mu
	seqno  uint64       // guarded by mu; of the next message
	gone   bool         // guarded by mu
	taking bool         // guarded by mu; its BOT's direction is inject
	paid   int64        // guarded by mu; all credit that it has sent
}

// newExchange makes a stream a peer of the broker.
func (s *flowService) newExchange(ctx context.Context) *exchange {
	x := &exchange{
		ctx:     ctx,
		outbox:  broker.NewOutbox(s.broker.Options().OutboxLimit()),
		caller:  callerOf(ctx),
		grace:   s.grace,
		settled: make(chan struct{}),
		ended:   make(chan struct{}),
		left:    newTally(),
	}
	x.stall.ctx, x.stall.timeout = ctx, s.stall
	x.stall.moved, x.stall.waits = x.left.moved, x.waits
	x.stall.tell = func() {
		say(ctx, s.log, slog.LevelInfo, "stream_aborted", "stream aborted", "detail", x.stall.detail())
		x.overrun()
	}
	x.peer = s.broker.AttachWith(x, peerInfo(ctx), grant(ctx))
	x.peer.Pauses()
	x.account = x.peer.Bytes()
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
	read, wrong := zio.ParseBot(label) // what is wrong with it, the broker says
	x.opens = wrong == nil && read.CID.Form == zio.Absent
	a := newArrival(bot)
	a.Label = label
	x.mu.Lock()
	x.taking = read.Direction == zio.Inject
	x.mu.Unlock()
	return x.send(zio.BOT, a)
}

// pay sends a PAY of the gateway's own.
func (x *exchange) pay(credit int64) error { return x.send(zio.PAY, ownArrival(credit)) }

// eot sends an EOT of the gateway's own.
func (x *exchange) eot() error { return x.send(zio.EOT, ownArrival(0)) }

// send sends what the stream says, and takes it over. It waits while the gateway has
// no room for it, in which time nothing more is read. The error is the stream's
// fault.
func (x *exchange) send(t zio.Type, a *arrival) error {
	head, known, err := a.complete(t)
	if err != nil {
		a.Release()
		return err
	}
	if !a.charge(x.account, x.ctx.Done()) {
		a.Release()
		return nil // the stream is over
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	a.Seqno = x.seqno
	x.seqno++
	if t == zio.PAY {
		x.paid += a.credit
	}
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

// overrun ends the flow because the stream does not read.
func (x *exchange) overrun() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.gone {
		x.peer.Fail(flow.Overrun, x.stall.detail())
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

// takenBy is who handles the flow; for its client only.
func (x *exchange) takenBy() *gatewayv1.TakenBy {
	if f := x.flow(); f != nil && x.opens {
		return takenBy(f)
	}
	return nil
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
