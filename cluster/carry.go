package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/contract"
)

// linger is how long the other node may take to say that it is done with a flow that is
// over here.
const linger = 10 * time.Second

// carried is a flow of which one side is at another node: that side here, the handler's
// where a listener or a route of the other has the flow, the client's where a handler here has taken the
// other's offer. It implements transport.Link and what there is besides.
type carried struct {
	*transport.Outbox
	at     *remote
	stream grpc.ClientStream
	cancel context.CancelFunc
	peer   *broker.Peer // used by who reads

	codec.Sent
	detail atomic.Pointer[string] // an operator's, who has ended the connection; nil before
}

// ask has the node of a listener offer it the flow, or that of a route find a handler, and waits
// for the handler's BOT, or why there is none.
func (c *carried) ask(ctx context.Context, to *gatewayv1.CarriedFlow, o routing.Offer) (*gatewayv1.Bot, *flow.Error, error) {
	m := c.at
	if m.conn == nil {
		return nil, nil, m.wrong
	}
	label, err := zio.RewriteBot(o.Bot.Label, o.Direction.Reverse(), c.credit(o), 0)
	if err != nil {
		return nil, &flow.Error{Reason: flow.ProtocolError, Detail: err.Error()}, nil
	}
	stream, err := gatewayv1.NewClusterServiceClient(m.conn).Carry(ctx)
	if err != nil {
		return nil, nil, err
	}
	c.stream = stream
	to.NodeId, to.Node, to.Client = string(m.self), m.options.Node, contract.ToPeer(o.Client)
	to.Bot = &gatewayv1.Bot{
		Label: string(label), Payload: o.Bot.Payload, Origin: o.Bot.Origin, Granule: o.Bot.Granule, Seqno: o.Bot.Seqno, Level: uint32(o.Bot.Level),
	}
	begin := &gatewayv1.CarryRequest{Message: &gatewayv1.CarryRequest_Begin{Begin: to}}
	if err := stream.Send(begin); err != nil && !errors.Is(err, io.EOF) { // of which the reason is received
		return nil, nil, err
	}
	first := codec.Request{Members: codec.OpenMembers}
	if err := c.stream.RecvMsg(&first); err != nil {
		return nil, nil, err
	}
	defer first.Drop()
	switch {
	case first.TooLarge != nil:
		return nil, nil, first.TooLarge
	case first.Type == zio.BOT:
		return first.BOT, nil, nil
	case first.Type == zio.EOT && first.Inbound.Reason != flow.NotEnded:
		return nil, &flow.Error{Reason: first.Inbound.Reason, Detail: text.Detail(first.Inbound.Detail)}, nil
	}
	return nil, nil, fmt.Errorf("node %s answers a BOT with a %v", m.name, first.Type)
}

// credit is the offer to the handler. Where the client leaves it to the handler that is all
// there may be here.
func (c *carried) credit(o routing.Offer) int64 {
	if o.Credit > 0 {
		return o.Credit
	}
	return c.at.options.Broker.Options().MaxCredit
}

// accept makes the handler that of the flow; false if the flow is not pending any more.
func (c *carried) accept(ctx context.Context, o routing.Offer, bot *gatewayv1.Bot) bool {
	b := c.at.options.Broker
	by := bot.GetTakenBy()
	c.Outbox = transport.NewUncountedOutbox(b.Options().OutboxLimit())
	c.peer = b.Attach(c, transport.PeerInfo{
		Transport: by.GetTransport(), Address: by.GetAddress(), Identity: by.GetIdentity(), Name: by.GetName(), Node: c.at.name,
	})
	c.peer.Pauses()
	if err := c.receiveBot(ctx, o, bot); err != nil {
		_ = b.Refuse(o.CID, flow.ProtocolError, text.Detail("the handler: "+err.Error()))
	}
	if c.peer.Flow() != nil {
		return true
	}
	c.leave("the flow is not pending any more")
	return false
}

// receiveBot passes the handler's BOT on, with the cid of the offer.
func (c *carried) receiveBot(ctx context.Context, o routing.Offer, bot *gatewayv1.Bot) error {
	parsed, err := zio.ParseBot([]byte(bot.GetLabel()))
	if err != nil {
		return err
	}
	label, err := zio.RewriteBot([]byte(bot.GetLabel()), parsed.Direction, parsed.Credit.Value, o.CID)
	if err != nil {
		return err
	}
	return c.receive(ctx, zio.BOT, codec.NewBOT(bot, label))
}

// receive passes on what the handler's node has sent, and takes it over.
func (c *carried) receive(ctx context.Context, t zio.Type, m *codec.Inbound) error {
	head, known, err := m.Carried(t)
	if err != nil {
		m.Release()
		return err
	}
	if !m.Charge(c.peer.Bytes(), ctx.Done()) {
		m.Release()
		return context.Cause(ctx)
	}
	if known {
		c.peer.ReceiveRead(head, &m.Message)
	} else {
		c.peer.Receive(&m.Message)
	}
	return nil
}

// relay relays until the flow is over at both nodes, or the other is gone.
func (c *carried) relay(ctx context.Context) {
	var writing sync.WaitGroup
	writing.Go(func() { c.write(ctx) })
	detail := "an error of the gateway"
	defer func() {
		c.leave(detail)
		c.cancel()
		writing.Wait()
	}()
	detail = c.read(ctx)
}

func (c *carried) leave(detail string) {
	c.peer.Leave(detail)
	c.Close()
	c.Empty()
}

// read passes on what comes, and returns why nothing more does.
func (c *carried) read(ctx context.Context) (detail string) {
	in := codec.Request{Members: codec.OpenMembers}
	for {
		if err := c.stream.RecvMsg(&in); err != nil {
			return c.gone(ctx, err)
		}
		switch {
		case in.TooLarge != nil:
			c.peer.TooLarge(in.TooLarge.Error())
		case in.Type == zio.NoType || in.Type == zio.BOT:
			c.peer.Fail(flow.ProtocolError, fmt.Sprintf("its node has sent a %v", in.Type))
		case in.EndsFlow():
			// An end that the other node has made is not its side's EOT.
			c.peer.Flow().Stop(in.Inbound.Reason, text.Detail(in.Inbound.Detail))
			in.Drop()
		default:
			if err := c.receive(ctx, in.Type, in.Inbound); err != nil {
				return c.gone(ctx, err)
			}
		}
	}
}

// gone says why the stream has ended.
func (c *carried) gone(ctx context.Context, err error) string {
	if detail := c.detail.Load(); detail != nil {
		return *detail
	}
	why := context.Cause(ctx)
	switch {
	case why != nil && !errors.Is(why, context.Canceled):
		return why.Error()
	case errors.Is(err, io.EOF):
		return fmt.Sprintf("node %s has ended the flow", c.at.name)
	}
	return text.Detail(fmt.Sprintf("node %s: %s", c.at.name, status.Convert(err).Message()))
}

// write sends what is delivered until the flow is over and all is sent.
func (c *carried) write(ctx context.Context) {
	out := codec.NewWriter(c.stream, codec.OpenMembers, c.Progress)
	var batch []transport.Delivery
	for {
		var err error
		if batch, err = c.Take(ctx, batch); err != nil {
			break
		}
		var failed error
		for i := range batch {
			if failed != nil {
				out.Drop(&batch[i])
			} else {
				failed = out.Send(&batch[i])
			}
		}
		if failed != nil {
			break // of which the reason is received
		}
	}
	_ = c.stream.CloseSend()
	late := time.AfterFunc(linger, c.cancel)
	<-ctx.Done() // it is ended by who reads
	late.Stop()
}
