package server

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/contract"
	"github.com/zioflow/gateway/server/grpcgo"
)

// carryService implements gatewayv1.ClusterServiceServer.
type carryService struct {
	gatewayv1.UnimplementedClusterServiceServer
	flowService
	table func() []*gatewayv1.ReadTableResponse
	alive func(ctx context.Context, nodeID string) (context.Context, context.CancelFunc)
}

// Carry relays a flow of which the client is at another node: the stream is the client.
func (s *carryService) Carry(stream grpc.BidiStreamingServer[gatewayv1.CarryRequest, gatewayv1.CarryResponse]) error {
	begin, err := recvBegin(stream.Context(), stream.Recv)
	if err != nil {
		return err
	}
	ctx, done := s.alive(stream.Context(), begin.GetNodeId())
	defer done()
	x := s.newStream(ctx)
	x.carried = true
	attach, to := s.broker.AttachCarried, begin.GetListenerId()
	if route := begin.GetRouteId(); route != 0 {
		attach, to = s.broker.AttachRouted, route
	}
	peer, err := attach(x, farPeer(begin.GetClient(), begin.GetNode()), to)
	if err != nil {
		return contract.EndStatus(&flow.Error{Reason: flow.NoHandler, Detail: err.Error()}, 0)
	}
	x.attach(peer)
	return s.relay(ctx, stream, x, begin.GetBot(), begin.GetNode(), sendCarried)
}

// relay relays between the flow that the BOT opens, or accepts, and the stream of a node.
func (s *carryService) relay(
	ctx context.Context, stream grpc.ServerStream, x *flowStream, bot *gatewayv1.Bot, node string,
	send func(*sender, *transport.Delivery, error) error,
) error {
	defer x.returned()
	defer x.unwind()
	if err := x.bot(bot, zio.NoDirection); err != nil {
		return err
	}
	s.streams.Go(func() { s.reading(ctx, x, func() { readOpen(ctx, stream, x) }) })
	out := newSender(stream, x, codec.OpenMembers)
	out.begun = true // the other node wants the EOT in any case, and not the status
	err := relayFlow(ctx, out, send)
	if ctx.Err() != nil {
		x.leave(nodeGone(ctx, node))
	} else if c := nodeConnOf(ctx); c != nil && x.waits() {
		c.sends(x.waits)
	}
	return err
}

// fromNode is what the stream of another node begins with: it says whose it is.
type fromNode interface {
	comparable
	GetNode() string
	GetNodeId() string
}

// recvBegin receives a stream's first message.
func recvBegin[B fromNode, Q interface{ GetBegin() B }](ctx context.Context, recv func() (Q, error)) (begin B, err error) {
	var none B
	timer := time.AfterFunc(firstTimeout, func() { _ = grpcgo.Abort(ctx) })
	defer timer.Stop()
	first, err := recv()
	if err == nil {
		begin = first.GetBegin()
	}
	switch {
	case errors.Is(err, io.EOF) || err == nil && begin == none:
		return none, contract.BadField("begin", "must come first")
	case err != nil:
		return none, err
	case begin.GetNode() == "" || begin.GetNodeId() == "":
		return none, contract.BadField("begin.node", "is missing")
	}
	return begin, nil
}

// farPeer is who a peer is that is connected to that node.
func farPeer(p *gatewayv1.Peer, node string) transport.PeerInfo {
	info := contract.FromPeer(p)
	info.Node = node
	return info
}

// sendCarried sends one message, unless an earlier one failed, and releases it.
func sendCarried(out *sender, d *transport.Delivery, failed error) error {
	switch {
	case failed != nil:
		out.Drop(d)
		return nil
	case d.Type == zio.BOT:
		bot := contract.BareBot(d.Message)
		bot.Label, bot.Payload = string(d.Message.Label), d.Message.Payload // in one piece each, as in contract.ToBot
		bot.TakenBy = out.stream.takenBy()
		return out.SendBOT(d, &gatewayv1.CarryResponse{Message: &gatewayv1.CarryResponse_Bot{Bot: bot}})
	default:
		return out.Send(d)
	}
}

// nodeGone says why the stream of a node has ended.
func nodeGone(ctx context.Context, node string) string {
	if why := context.Cause(ctx); why != nil && !errors.Is(why, context.Canceled) {
		return why.Error()
	}
	return "the connection to node " + node + " has ended"
}

// stop ends the flow for a reason that was seen elsewhere.
func (x *flowStream) stop(reason flow.Reason, detail string) {
	if f := x.flow(); f != nil {
		f.Stop(reason, detail)
	}
}

// ReadTable returns the node's listeners and added routes.
func (s *carryService) ReadTable(_ *gatewayv1.ReadTableRequest, stream grpc.ServerStreamingServer[gatewayv1.ReadTableResponse]) error {
	for _, part := range s.table() {
		if err := stream.Send(part); err != nil {
			return err
		}
	}
	return nil
}

// Ping shows that the node is there.
func (s *carryService) Ping(context.Context, *gatewayv1.PingRequest) (*gatewayv1.PingResponse, error) {
	return &gatewayv1.PingResponse{}, nil
}
