package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/contract"
	"github.com/zioflow/gateway/server/grpcgo"
)

// flowService implements gatewayv1.FlowServiceServer.
type flowService struct {
	gatewayv1.UnimplementedFlowServiceServer
	broker   *broker.Broker
	log      *logs.Sampler
	counters *counters
	streams  *sync.WaitGroup
	stall    time.Duration // as Options.Stall
	grace    time.Duration // as Options.Grace
}

// firstTimeout is how long a stream may wait with its first message.
const firstTimeout = time.Minute

// recvFirst receives a stream's first message. A stream that is late with it is aborted:
// gRPC has no other way to stop waiting.
func recvFirst(stream grpc.ServerStream, first *codec.Request) error {
	ctx := stream.Context()
	timer := time.AfterFunc(firstTimeout, func() { _ = grpcgo.Abort(ctx) })
	defer timer.Stop()
	err := stream.RecvMsg(first)
	if errors.Is(err, io.EOF) {
		return contract.BadField("bot", "must come first")
	}
	return err
}

// passOn passes one message on, once the BOT is answered: who does not speak
// ZIO cannot be asked to wait by himself.
func passOn(ctx context.Context, in *codec.Request, x *flowStream) error {
	select {
	case <-x.answered:
	case <-ctx.Done():
		in.Drop()
		return status.FromContextError(ctx.Err()).Err()
	}
	switch {
	case in.TooLarge != nil:
		return in.TooLarge
	case in.Type == zio.BOT:
		return contract.BadField("bot", "may come only once")
	case in.Type == zio.NoType:
		return contract.BadField("message", "must be one of bot, pay, dat, eot")
	default:
		return x.send(in.Type, in.Inbound)
	}
}

// newFlowStream makes a stream a peer of the broker.
func (s *flowService) newFlowStream(ctx context.Context) *flowStream {
	x := s.newStream(ctx)
	x.attach(s.broker.AttachWith(x, peerInfo(ctx), grant(ctx)))
	return x
}

// newStream makes a stream that has to be attached.
func (s *flowService) newStream(ctx context.Context) *flowStream {
	x := &flowStream{
		ctx:      ctx,
		outbox:   transport.NewUncountedOutbox(s.broker.Options().OutboxLimit()),
		caller:   callerOf(ctx),
		grace:    s.grace,
		answered: make(chan struct{}),
		ended:    make(chan struct{}),
		Sent:     codec.NewSent(),
	}
	x.stall.ctx, x.stall.timeout = ctx, s.stall
	x.stall.moved, x.stall.waits = x.Progress.Moved, x.waits
	x.stall.tell = func() {
		say(ctx, s.log, slog.LevelInfo, "stream_aborted", "stream aborted", "detail", x.stall.detail())
		x.overrun()
	}
	return x
}

// attach makes it the broker's peer.
func (x *flowStream) attach(p *broker.Peer) {
	x.peer = p
	x.peer.Pauses()
	x.account = x.peer.Bytes()
}
