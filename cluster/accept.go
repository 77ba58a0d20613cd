package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/contract"
)

// accept has the node's offer taken, and relays the flow; false if it has none.
func (m *remote) accept(a *broker.Acceptance) (found bool) {
	if m.conn == nil {
		return false
	}
	b := m.options.Broker
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	left := context.AfterFunc(a.Context(), cancel) // the handler has, before the flow is there
	defer left()
	c := &carried{at: m, cancel: cancel, Outbox: transport.NewUncountedOutbox(b.Options().OutboxLimit()), Sent: codec.NewSent()}
	begin, end, err := c.askOffer(ctx, a)
	switch {
	case err != nil:
		return a.Context().Err() != nil // otherwise another may have it
	case end != nil:
		_ = a.Refused(end.Reason, end.Detail)
		return true
	}
	left()
	info := contract.FromPeer(begin.GetClient())
	info.Node = cmp.Or(info.Node, m.name)
	bot := begin.GetBot()
	message := &zio.Message{
		Level: byte(bot.GetLevel()), Form: zio.FormFlow, Label: []byte(bot.GetLabel()),
		Coord: zio.Coord{Origin: bot.GetOrigin(), Granule: bot.GetGranule(), Seqno: bot.GetSeqno()},
	}
	peer, no := a.Taken(c, info, message)
	if no != nil {
		_ = c.stream.SendMsg(&gatewayv1.AcceptRequest{Message: &gatewayv1.AcceptRequest_Eot{Eot: &gatewayv1.Eot{
			Label: string(zio.ErrorLabel(no.Reason.String(), no.Detail)), Reason: contract.ReasonOf(no.Reason), Detail: no.Detail,
		}}})
		c.end()
		return true
	}
	c.peer = peer
	c.relay(ctx)
	return true
}

// end waits until the other node is done with a flow that there is none of here.
func (c *carried) end() {
	_ = c.stream.CloseSend()
	late := time.AfterFunc(linger, c.cancel)
	defer late.Stop()
	var err error
	for err == nil {
		err = c.stream.RecvMsg(new(gatewayv1.AcceptResponse))
	}
}

// askOffer has the node's offer taken. It returns the flow, or the end that the node has made
// of it; the error tells that it has no such offer, or does not answer.
func (c *carried) askOffer(ctx context.Context, a *broker.Acceptance) (*gatewayv1.CarriedFlow, *flow.Error, error) {
	m := c.at
	limits := m.options.Broker.Options()
	credit := limits.MaxCredit // where the handler leaves it to the client
	if a.Credit > 0 {
		credit = min(credit, a.Credit)
	}
	label, err := zio.RewriteBot(a.Bot.Label, a.Direction, credit, a.CID)
	if err != nil {
		return nil, &flow.Error{Reason: flow.ProtocolError, Detail: err.Error()}, nil
	}
	late := time.AfterFunc(limits.PendingTimeout, c.cancel)
	defer late.Stop()
	stream, err := gatewayv1.NewClusterServiceClient(m.conn).Accept(ctx)
	if err != nil {
		return nil, nil, err
	}
	c.stream = stream
	bot := contract.BareBot(a.Bot)
	bot.Label, bot.Cid, bot.Payload = string(label), a.CID, a.Bot.WithLabel(nil).Payload // in one piece each
	if err := stream.Send(&gatewayv1.AcceptRequest{Message: &gatewayv1.AcceptRequest_Begin{Begin: &gatewayv1.AcceptedOffer{
		NodeId: string(m.self), Node: m.options.Node, Bot: bot, Handler: contract.ToPeer(a.Handler), Match: a.Match,
	}}}); err != nil && !errors.Is(err, io.EOF) { // of which the reason is received
		return nil, nil, err
	}
	first, err := stream.Recv()
	switch {
	case err != nil:
		return nil, nil, err
	case first.GetBegin() != nil:
		return first.GetBegin(), nil, nil
	case first.GetEot().GetReason() != gatewayv1.EndReason_END_REASON_UNSPECIFIED:
		return nil, &flow.Error{Reason: contract.ToReason(first.GetEot().GetReason()), Detail: text.Detail(first.GetEot().GetDetail())}, nil
	}
	return nil, nil, fmt.Errorf("node %s does not say what has become of the offer", m.name)
}
