package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/contract"
)

// flowStream is one stream's part in a flow: it numbers what the stream sends and
// queues what it is to be sent. All methods but take may be called
// concurrently.
type flowStream struct {
	ctx    context.Context // the stream's
	outbox *transport.Outbox
	caller *caller // nil where callers are not authenticated
	grace  time.Duration
	// answered is closed when the stream's BOT has been answered, or refused; ended when
	// the flow has ended, or was refused.
	answered, ended   chan struct{}
	answering, ending sync.Once
	codec.Sent
	dats    atomic.Int64 // delivered
	eotCame atomic.Bool  // from the other side
	stall   stall
	account *budget.Account
	broken  atomic.Bool // its reading half has panicked
	opens   bool        // as a client; used by the stream's handler alone
	carried bool        // by another node: its messages are numbered; set before it is attached

	cutOff atomic.Pointer[flow.Error] // why an operator has disconnected it; nil before

	mu       sync.Mutex
	peer     *broker.Peer // guarded by mu
	seqno    uint64       // guarded by mu; of the next message
	detached bool         // guarded by mu
	taking   bool         // guarded by mu; its BOT's direction is inject
	paid     int64        // guarded by mu; all credit that it has sent
}

// begin sends the stream's first message, which must be a BOT.
func (x *flowStream) begin(first *codec.Request, implied zio.Direction) error {
	first.Drop()
	if first.TooLarge != nil {
		x.fail(first.TooLarge)
		return nil
	}
	return x.bot(first.BOT, implied)
}

// bot sends the stream's BOT. The RPC may imply a direction. After an error the
// stream has left.
func (x *flowStream) bot(bot *gatewayv1.Bot, implied zio.Direction) (err error) {
	defer func() {
		if err != nil {
			x.leave("the BOT could not be read")
		}
	}()
	if bot == nil {
		return contract.BadField("bot", "must come first")
	}
	label, err := contract.BotLabel(bot, implied)
	if err != nil {
		return err
	}
	if err := x.caller.needForBot(label); err != nil {
		return err
	}
	read, wrong := zio.ParseBot(label) // what is wrong with it, the broker says
	x.opens = wrong == nil && read.CID.Form == zio.Absent
	x.mu.Lock()
	x.taking = read.Direction == zio.Inject
	x.mu.Unlock()
	return x.send(zio.BOT, codec.NewBOT(bot, label))
}

// pay sends a PAY of the gateway's own.
func (x *flowStream) pay(credit int64) error { return x.send(zio.PAY, codec.NewPAY(credit)) }

// eot sends an EOT of the gateway's own.
func (x *flowStream) eot() error { return x.send(zio.EOT, codec.NewEOT()) }

// send sends what the stream says, and takes it over. It waits while the gateway has
// no room for it, in which time nothing more is read. The error is the stream's
// fault.
func (x *flowStream) send(t zio.Type, m *codec.Inbound) error {
	head, known, err := x.complete(t, m)
	if err != nil {
		m.Release()
		return err
	}
	if !m.Charge(x.account, x.ctx.Done()) {
		m.Release()
		return nil // the stream is over
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.carried {
		m.Seqno = x.seqno
		x.seqno++
	}
	if t == zio.PAY {
		x.paid += m.Credit
	}
	switch {
	case x.detached:
		m.Release()
	case known:
		x.peer.ReceiveRead(head, &m.Message)
	default:
		x.peer.Receive(&m.Message)
	}
	return nil
}

func (x *flowStream) complete(t zio.Type, m *codec.Inbound) (zio.Head, bool, error) {
	if x.carried {
		return m.Carried(t)
	}
	return m.Complete(t)
}

// closeSend tells the broker that the stream will send nothing more.
func (x *flowStream) closeSend() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.detached {
		x.peer.CloseSend()
	}
}

// overrun ends the flow because the stream does not read.
func (x *flowStream) overrun() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.detached {
		x.peer.Fail(flow.Overrun, x.stall.detail())
	}
}

// fail ends the flow because of an error in what the stream sent.
func (x *flowStream) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.detached:
	case status.Code(err) == codes.ResourceExhausted:
		x.peer.Fail(flow.MessageTooLarge, status.Convert(err).Message())
	default:
		x.peer.Fail(flow.ProtocolError, status.Convert(err).Message())
	}
}

// leave takes the stream out of its flow. Leaving again does nothing.
func (x *flowStream) leave(how string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.detached {
		x.detached = true
		x.peer.Leave(how)
		x.outbox.Close()
		x.Empty()
	}
}

// broke deals with an error of reading from the stream: the peer's fault ends
// the flow with a reason, anything else means that the peer has gone.
func (x *flowStream) broke(err error) {
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
func (x *flowStream) takenBy() *gatewayv1.TakenBy {
	if f := x.flow(); f != nil && x.opens {
		return contract.ToTakenBy(f)
	}
	return nil
}

// flow is the flow the stream takes part in; nil before.
func (x *flowStream) flow() *relay.Flow {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.peer.Flow()
}

// unsent is the status to end the stream with, after gRPC has returned err to
// something that it was to send.
func (x *flowStream) unsent(err error) error {
	if end := x.cutOff.Load(); end != nil {
		return x.result(end)
	}
	if x.stall.gaveUp() {
		return x.result(&flow.Error{Reason: flow.Overrun, Detail: x.stall.detail()})
	}
	return err
}

// result is the status to end the stream with, after take has returned err.
func (x *flowStream) result(err error) error {
	if x.broken.Load() {
		return errBroken
	}
	end, ok := errors.AsType[*flow.Error](err)
	if !ok {
		return status.FromContextError(err).Err()
	}
	var id transport.FlowID
	if f := x.flow(); f != nil {
		id = f.ID()
	}
	return contract.EndStatus(end, id)
}
