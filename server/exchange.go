package server

import (
	"context"
	"errors"
	"io"
	"sync"

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

	mu    sync.Mutex
	peer  *broker.Peer // guarded by mu
	seqno uint64       // guarded by mu; of the next message
	gone  bool         // guarded by mu
}

func newExchange(ctx context.Context, b *broker.Broker) *exchange {
	x := &exchange{
		outbox:  broker.NewOutbox(b.Options().OutboxLimit()),
		caller:  callerOf(ctx),
		settled: make(chan struct{}),
	}
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

// Deliver implements broker.Link.
func (x *exchange) Deliver(d broker.Delivery) error {
	err := x.outbox.Deliver(d)
	if d.Type == zio.BOT {
		x.settle()
	}
	return err
}

// Queued implements broker.Link.
func (x *exchange) Queued() (messages, bytes int64) { return x.outbox.Queued() }

// Ended implements broker.Link.
func (x *exchange) Ended(reason flow.Reason, detail string) {
	x.outbox.Ended(reason, detail)
	x.settle()
}

func (x *exchange) settle() { x.settling.Do(func() { close(x.settled) }) }

// bot sends the stream's BOT. The RPC may imply a direction.
func (x *exchange) bot(bot *gatewayv1.Bot, implied zio.Direction) error {
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
	return x.send(bot, label)
}

func (x *exchange) pay(pay *gatewayv1.Pay) error {
	label, err := plainLabel(pay, zio.PAY, pay.GetCredit())
	if err != nil {
		return err
	}
	return x.send(pay, label)
}

func (x *exchange) dat(dat *gatewayv1.Dat) error {
	label, err := plainLabel(dat, zio.DAT, 0)
	if err != nil {
		return err
	}
	return x.send(dat, label)
}

func (x *exchange) eot(eot *gatewayv1.Eot) error {
	label, err := plainLabel(eot, zio.EOT, 0)
	if err != nil {
		return err
	}
	return x.send(eot, label)
}

func (x *exchange) send(e envelope, label []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	m, err := newMessage(e, label, x.seqno)
	if err != nil {
		return err
	}
	x.seqno++
	if !x.gone {
		x.peer.Receive(m)
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

// result is the status to end the stream with, after take has answered err.
func (x *exchange) result(err error) error {
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
