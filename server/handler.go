package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/routing"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/server/contract"
)

// How many events may wait for one listener to read them, and how many bytes of
// BOTs, besides one BOT. Who falls further behind counts as gone.
const (
	maxOffers     = 4096
	maxOfferBytes = 64 << 20
)

// handlerService implements gatewayv1.HandlerServiceServer.
type handlerService struct {
	gatewayv1.UnimplementedHandlerServiceServer
	broker *broker.Broker
	stop   context.Context
	log    *logs.Sampler
	stall  time.Duration // as Options.Stall
}

// Listen registers the stream as a listener for as long as it is open.
func (s *handlerService) Listen(request *gatewayv1.ListenRequest, stream grpc.ServerStreamingServer[gatewayv1.ListenResponse]) error {
	size, err := offerSize(request, s.broker.Options())
	if err != nil {
		return err
	}
	sink := s.sink(stream.Context(), size)
	defer sink.returned()
	spec := listeners.Spec{
		Name: request.GetName(), MaxFlows: int(request.GetMaxFlows()), Sink: sink,
		Peer: peerInfo(stream.Context()), Grant: grant(stream.Context()),
	}
	if expression := request.GetMatch(); expression != "" {
		compiled, err := match.Compile(expression)
		if err != nil {
			return contract.BadField("match", "%v", err)
		}
		spec.Match = compiled
	}
	listener, err := s.broker.Listen(spec)
	if no, is := errors.AsType[*flow.Error](err); is && no.Denied != "" {
		return permissionDenied(string(no.Denied), no.Detail)
	}
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	defer listener.Close()
	err = stream.Send(&gatewayv1.ListenResponse{Event: &gatewayv1.ListenResponse_Listening{
		Listening: &gatewayv1.Listening{ListenerId: listener.ID()},
	}})
	for err == nil {
		select {
		case <-sink.come:
			if event, waits := sink.next(); waits {
				err = stream.Send(event.response())
				sink.sent(event)
			}
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-listener.Gone():
			return status.Error(codes.ResourceExhausted, "the listener does not read its offers")
		case <-tooOld(stream.Context()):
			return contract.Draining("the connection is as old as it may become: listen again, by another one")
		case <-s.stop.Done():
			return contract.Stopping()
		}
	}
	return err
}

// Decline refuses an offer.
func (s *handlerService) Decline(ctx context.Context, request *gatewayv1.DeclineRequest) (*gatewayv1.DeclineResponse, error) {
	detail := request.GetDetail()
	if detail == "" {
		detail = "the handler declined"
	}
	if err := declined(s.broker.DeclineAnywhere(ctx, peerInfo(ctx), request.GetCid(), detail)); err != nil {
		return nil, err
	}
	return &gatewayv1.DeclineResponse{}, nil
}

// declined is the status for what Broker.Decline has returned.
func declined(err error) error {
	switch {
	case errors.Is(err, routing.ErrForeignOffer):
		return permissionDenied(string(flow.DeniedCID), err.Error())
	case err != nil:
		return status.Error(codes.NotFound, err.Error())
	}
	return nil
}

// listenSink implements listeners.Sink with a queue that is bounded in number
// and bytes, and holds nothing while it is empty. Its methods but next, sent and returned may
// be called concurrently.
type listenSink struct {
	size   int           // of an offer
	come   chan struct{} // receives while events wait
	weight atomic.Int64  // of what waits, and of the event that is being sent
	taken  atomic.Int64  // events sent
	stall  stall         // begins when the listener counts as gone

	mu     sync.Mutex
	events []listenEvent // guarded by mu; the oldest first
}

// listenEvent is something that a listener is to be told. It becomes a response
// when its turn comes, since that can take much more memory.
type listenEvent struct {
	response func() *gatewayv1.ListenResponse
	weight   int64
}

func (s *handlerService) sink(ctx context.Context, size int) *listenSink {
	k := &listenSink{size: size, come: make(chan struct{}, 1)}
	k.stall.ctx, k.stall.timeout, k.stall.moved = ctx, s.stall, k.taken.Load
	k.stall.waits = func() bool { return true } // what it was offered last
	k.stall.tell = func() {
		say(ctx, s.log, slog.LevelInfo, "stream_aborted", "stream aborted", "detail", errBehind.Error())
	}
	return k
}

var errBehind = errors.New("the listener does not read its offers")

// Offer implements listeners.Sink.
func (k *listenSink) Offer(o routing.Offer) error {
	offer := newOffered(o, k.size)
	err := k.put(listenEvent{offer.response, offer.weight()})
	if err != nil {
		k.stall.watch()
	}
	return err
}

// Withdraw implements listeners.Sink. A listener that has no room for it
// will be told when it accepts.
func (k *listenSink) Withdraw(cid uint64, reason flow.Reason) {
	_ = k.put(listenEvent{response: func() *gatewayv1.ListenResponse {
		return &gatewayv1.ListenResponse{Event: &gatewayv1.ListenResponse_Withdrawn{
			Withdrawn: &gatewayv1.Withdrawn{Cid: cid, Reason: contract.ReasonOf(reason)},
		}}
	}})
}

func (k *listenSink) put(event listenEvent) error {
	if k.weight.Add(event.weight)-event.weight > maxOfferBytes || !k.append(event) {
		k.weight.Add(-event.weight)
		return errBehind
	}
	return nil
}

// append has an event wait; false if as many wait as may.
func (k *listenSink) append(event listenEvent) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.events) >= maxOffers {
		return false
	}
	k.events = append(k.events, event)
	k.wake()
	return true
}

func (k *listenSink) wake() {
	select {
	case k.come <- struct{}{}:
	default:
	}
}

// next takes the event that has waited longest, if there is one.
func (k *listenSink) next() (event listenEvent, waits bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.events) == 0 {
		return event, false
	}
	event, k.events[0] = k.events[0], listenEvent{}
	if k.events = k.events[1:]; len(k.events) > 0 {
		k.wake()
	} else {
		k.events = nil
	}
	return event, true
}

// sent takes note of an event that was sent.
func (k *listenSink) sent(event listenEvent) {
	k.weight.Add(-event.weight)
	k.taken.Add(1)
}

// returned is called when the stream's handler returns. If the stream has ended,
// nothing is left for it to read.
func (k *listenSink) returned() {
	if k.stall.ctx.Err() != nil {
		k.stall.finish()
	}
}
