package server

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/match"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// maxOffers is how many events may wait for one listener to read them. Who
// falls further behind counts as gone.
const maxOffers = 4096

// handlerService implements gatewayv1.HandlerServiceServer.
type handlerService struct {
	gatewayv1.UnimplementedHandlerServiceServer
	broker *broker.Broker
	stop   context.Context
}

// Listen registers the stream as a listener for as long as it is open.
func (s *handlerService) Listen(request *gatewayv1.ListenRequest, stream grpc.ServerStreamingServer[gatewayv1.ListenResponse]) error {
	if request.GetName() == "" {
		return badField("name", "must not be empty")
	}
	sink := listenSink(make(chan *gatewayv1.ListenResponse, maxOffers))
	spec := broker.ListenerSpec{Name: request.GetName(), MaxFlows: int(request.GetMaxFlows()), Peer: peerInfo(stream.Context()), Sink: sink}
	if expression := request.GetMatch(); expression != "" {
		compiled, err := match.Compile(expression)
		if err != nil {
			return badField("match", "%v", err)
		}
		spec.Match = compiled
	}
	listener, err := s.broker.Listen(spec)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	defer listener.Close()
	err = stream.Send(&gatewayv1.ListenResponse{Event: &gatewayv1.ListenResponse_Listening{
		Listening: &gatewayv1.Listening{ListenerId: listener.ID()},
	}})
	for err == nil {
		select {
		case event := <-sink:
			err = stream.Send(event)
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-listener.Gone():
			return status.Error(codes.ResourceExhausted, "the listener does not read its offers")
		case <-s.stop.Done():
			return endError(&broker.EndError{Reason: flow.Draining, Detail: "the gateway is shutting down"}, 0)
		}
	}
	return err
}

// Decline refuses an offer.
func (s *handlerService) Decline(_ context.Context, request *gatewayv1.DeclineRequest) (*gatewayv1.DeclineResponse, error) {
	detail := request.GetDetail()
	if detail == "" {
		detail = "the handler declined"
	}
	if !s.broker.Decline(request.GetCid(), detail) {
		return nil, status.Error(codes.NotFound, "no offer has this cid: it was accepted, withdrawn or never made")
	}
	return &gatewayv1.DeclineResponse{}, nil
}

// listenSink implements broker.ListenerSink with a bounded queue.
type listenSink chan *gatewayv1.ListenResponse

var errBehind = errors.New("the listener does not read its offers")

// Offer implements broker.ListenerSink.
func (k listenSink) Offer(o broker.Offer) error {
	return k.put(&gatewayv1.ListenResponse{Event: &gatewayv1.ListenResponse_Offer{Offer: &gatewayv1.Offer{
		Cid: o.CID, Bot: offeredBot(o.Bot), Deadline: timestamppb.New(o.Deadline), Peer: toPeer(o.Client),
	}}})
}

// Withdraw implements broker.ListenerSink. A listener that has no room for it
// will be told when it accepts.
func (k listenSink) Withdraw(cid uint64, reason flow.Reason) {
	_ = k.put(&gatewayv1.ListenResponse{Event: &gatewayv1.ListenResponse_Withdrawn{
		Withdrawn: &gatewayv1.Withdrawn{Cid: cid, Reason: reasonOf(reason)},
	}})
}

func (k listenSink) put(event *gatewayv1.ListenResponse) error {
	select {
	case k <- event:
		return nil
	default:
		return errBehind
	}
}
