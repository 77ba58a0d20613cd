package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// Accept relays a flow that was offered here, and of which the handler is at another node:
// the stream is the handler.
func (s *carryService) Accept(stream grpc.BidiStreamingServer[gatewayv1.AcceptRequest, gatewayv1.AcceptResponse]) error {
	begin, err := recvBegin(stream.Context(), stream.Recv)
	switch {
	case err != nil:
		return err
	case begin.GetBot().GetCid() == 0:
		return contract.BadField("begin.bot.cid", "is missing")
	}
	if !s.broker.Offered(begin.GetBot().GetCid()) {
		return errNoOffer
	}
	ctx, done := s.alive(stream.Context(), begin.GetNodeId())
	defer done()
	x := s.newStream(ctx)
	x.carried = true
	grant := &farGrant{}
	if text := begin.GetMatch(); text != "" {
		if grant.match, err = match.Compile(text); err != nil {
			return contract.BadField("begin.match", "%v", err)
		}
	}
	x.attach(s.broker.AttachAccepting(x, farPeer(begin.GetHandler(), begin.GetNode()), grant))
	return s.relay(ctx, stream, x, begin.GetBot(), begin.GetNode(), sendAccepted)
}

var errNoOffer = status.Error(codes.NotFound, routing.ErrNoOffer.Error())

// farGrant is what a handler of another node may do, as far as that does not see to it.
type farGrant struct{ match matching.Match }

// Rights implements rights.Grant.
func (g *farGrant) Rights() rights.Rights {
	return rights.Rights{Handler: true, Extract: true, Inject: true, Match: g.match}
}

// sendAccepted sends one message, unless an earlier one failed, and releases it. That the
// handler has the flow is told by its client's BOT, as the handler knows its own.
func sendAccepted(out *sender, d *transport.Delivery, failed error) error {
	if failed == nil && d.Type == zio.BOT {
		if begin := acceptedFlow(out.stream.flow(), d.Credit); begin != nil {
			return out.SendBOT(d, &gatewayv1.AcceptResponse{Message: &gatewayv1.AcceptResponse_Begin{Begin: begin}})
		}
		out.Drop(d) // it has ended: the EOT says why
		return nil
	}
	return sendCarried(out, d, failed)
}

// acceptedFlow is the flow as the handler's node is told of it; nil if it has ended.
func acceptedFlow(f *relay.Flow, credit int64) *gatewayv1.CarriedFlow {
	m := f.ClientBot()
	if m == nil {
		return nil
	}
	info := f.Info()
	label, err := zio.RewriteBot(m.Label, info.Direction, credit, 0)
	if err != nil {
		return nil
	}
	m.Label = label
	bot := contract.BareBot(m)
	bot.Label = string(label)
	return &gatewayv1.CarriedFlow{Bot: bot, Client: contract.ToPeer(info.Client)}
}

// DeclineOffer has an offer refused by a handler at another node.
func (s *carryService) DeclineOffer(_ context.Context, request *gatewayv1.DeclineOfferRequest) (*gatewayv1.DeclineOfferResponse, error) {
	if err := declined(s.broker.Decline(farPeer(request.GetHandler(), request.GetNode()), request.GetCid(), request.GetDetail())); err != nil {
		return nil, err
	}
	return &gatewayv1.DeclineOfferResponse{}, nil
}
