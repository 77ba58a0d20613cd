package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
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

// Open relays between a stream and the broker. Its handler writes; another
// goroutine reads, and ends when the stream does.
func (s *flowService) Open(stream grpc.BidiStreamingServer[gatewayv1.OpenRequest, gatewayv1.OpenResponse]) error {
	ctx := stream.Context()
	first := request{members: openMembers}
	if err := recvFirst(stream, &first); err != nil {
		return err
	}
	x := s.newExchange(ctx)
	defer x.returned()
	defer x.unwind()
	if err := x.begin(&first, zio.NoDirection); err != nil {
		return err
	}
	s.streams.Go(func() { s.reading(ctx, x, func() { readOpen(ctx, stream, x) }) })

	out := newSender(stream, x, openMembers)
	for {
		batch, err := out.take(ctx)
		if err != nil {
			return x.result(err)
		}
		for i := range batch {
			err = errors.Join(err, sendOpen(out, &batch[i], err))
		}
		if err != nil {
			return x.unsent(err)
		}
	}
}

// firstTimeout is how long a stream may wait with its first message.
const firstTimeout = time.Minute

// recvFirst receives a stream's first message. A stream that is late with it is aborted:
// gRPC has no other way to stop waiting.
func recvFirst(stream grpc.ServerStream, first *request) error {
	ctx := stream.Context()
	timer := time.AfterFunc(firstTimeout, func() { _ = abort(ctx) })
	defer timer.Stop()
	err := stream.RecvMsg(first)
	if errors.Is(err, io.EOF) {
		return badField("bot", "must come first")
	}
	return err
}

// sendOpen sends one message, unless an earlier one failed, and releases it.
func sendOpen(out *sender, d *broker.Delivery, failed error) error {
	switch {
	case failed != nil:
		out.drop(d)
		return nil
	case d.Type == zio.BOT:
		return out.bot(d, &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: toBot(*d, out.exchange.takenBy())}})
	default:
		return out.send(d)
	}
}

// readOpen takes in what follows the BOT.
func readOpen(ctx context.Context, stream grpc.ServerStream, x *exchange) {
	in := request{members: openMembers}
	for {
		err := stream.RecvMsg(&in)
		switch {
		case errors.Is(err, io.EOF):
			x.halfClosed()
		case err != nil:
			x.broke(err)
		default:
			if err = passOn(ctx, &in, x); err != nil {
				x.broke(err)
			}
		}
		if err != nil {
			return
		}
	}
}

// passOn passes one message on, once the BOT is answered: who does not speak
// ZIO cannot be asked to wait by himself.
func passOn(ctx context.Context, in *request, x *exchange) error {
	select {
	case <-x.settled:
	case <-ctx.Done():
		in.drop()
		return status.FromContextError(ctx.Err()).Err()
	}
	switch {
	case in.excess != nil:
		return in.excess
	case in.kind == zio.BOT:
		return badField("bot", "may come only once")
	case in.kind == zio.NoType:
		return badField("message", "must be one of bot, pay, dat, eot")
	default:
		return x.send(in.kind, in.arrival)
	}
}

// Put gives for the stream: it reads as the taker pays.
func (s *flowService) Put(stream grpc.ClientStreamingServer[gatewayv1.PutRequest, gatewayv1.PutResponse]) error {
	ctx := stream.Context()
	first := request{members: putMembers}
	if err := recvFirst(stream, &first); err != nil {
		return err
	}
	x := s.newExchange(ctx)
	defer x.returned()
	defer x.unwind()
	credit := newCredit()
	if err := x.begin(&first, zio.Extract); err != nil {
		return err
	}
	s.streams.Go(func() { s.reading(ctx, x, func() { readPut(ctx, stream, x, credit) }) })

	response := &putResponse{}
	defer response.drop()
	out := newSender(stream, x, putMembers)
	for {
		batch, err := out.take(ctx)
		if err != nil {
			if err := x.result(err); err != nil {
				return err
			}
			return response.send(out, x)
		}
		for i := range batch {
			err = errors.Join(err, response.note(out, &batch[i], credit))
		}
		if err != nil {
			return err
		}
	}
}

// putResponse is what a Put is answered when its flow has completed.
type putResponse struct {
	gatewayv1.PutResponse
	bot *zio.Message // the handler's, of which the response has the payload; nil before it came
}

// note takes note of what is delivered to a Put, and releases it.
func (r *putResponse) note(out *sender, d *broker.Delivery, credit *semaphore.Weighted) error {
	if d.Type == zio.BOT && r.bot == nil {
		r.Bot = toBot(*d, out.exchange.takenBy())
		r.TakenBy = r.Bot.GetTakenBy()
		r.bot = out.keep(d)
		return nil
	}
	defer out.drop(d)
	switch d.Type {
	case zio.PAY:
		credit.Release(d.Credit)
	case zio.EOT:
		r.EotLabel = string(d.Message.Label)
		if d.Reason == flow.NotEnded { // the taker has had enough
			return out.exchange.eot()
		}
	}
	return nil
}

// send sends the response.
func (r *putResponse) send(out *sender, x *exchange) error {
	info := x.flow().Info()
	r.FlowId = uint64(info.ID)
	r.Messages, r.Bytes = info.Data.Messages, info.Data.Bytes
	r.Reason = reasonOf(info.Reason)
	of := r.bot
	r.bot = nil
	if of == nil {
		of = &zio.Message{}
	}
	return out.last(&r.PutResponse, of)
}

// drop releases what the response was to be made of, if it was not sent.
func (r *putResponse) drop() {
	if r.bot != nil {
		r.bot.Release()
		r.bot = nil
	}
}

// newCredit is a semaphore that counts the credit of a giver, from 0.
func newCredit() *semaphore.Weighted {
	const most = 1 << 62
	credit := semaphore.NewWeighted(most)
	credit.TryAcquire(most)
	return credit
}

// readPut reads a DAT for every credit. Without credit it does not read, and
// HTTP/2 holds the caller back.
func readPut(ctx context.Context, stream grpc.ServerStream, x *exchange, credit *semaphore.Weighted) {
	in := request{members: putMembers}
	for {
		err := stream.RecvMsg(&in)
		switch {
		case errors.Is(err, io.EOF):
			x.halfClosed()
			return
		case err != nil:
			x.broke(err)
			return
		case in.excess != nil:
			x.fail(in.excess)
			return
		case in.kind == zio.EOT:
			if err := passOn(ctx, &in, x); err != nil {
				x.broke(err)
			}
			return
		case in.kind != zio.DAT:
			in.drop()
			x.fail(badField("message", "must be a dat or an eot after the bot"))
			return
		}
		if credit.Acquire(ctx, 1) != nil {
			in.drop()
			return
		}
		if err := x.send(zio.DAT, in.arrival); err != nil {
			x.fail(err)
			return
		}
	}
}

// Get implements gatewayv1.FlowServiceServer, which nobody calls: see serveGet.
func (s *flowService) Get(*gatewayv1.GetRequest, grpc.ServerStreamingServer[gatewayv1.GetResponse]) error {
	return status.Error(codes.Internal, "Get is served by serveGet")
}

// serveGet is the handler of Get. The generated one would have gRPC make INTERNAL of a
// request that is too large to be read.
func serveGet(service any, stream grpc.ServerStream) error {
	request := request{members: getRequestMembers}
	if err := recvFirst(stream, &request); err != nil {
		return err
	}
	return service.(*flowService).get(&request, stream)
}

// get takes for the stream: it pays as the stream accepts.
func (s *flowService) get(request *request, stream grpc.ServerStream) error {
	ctx := stream.Context()
	x := s.newExchange(ctx)
	defer x.returned()
	defer x.unwind()
	if err := x.begin(request, zio.Inject); err != nil {
		return err
	}
	defer x.leave("stream ended")
	out := newSender(stream, x, getMembers)
	var till payback
	for {
		batch, err := out.take(ctx)
		if err != nil {
			return x.result(err)
		}
		for i := range batch {
			err = errors.Join(err, sendGet(out, &till, &batch[i], err))
		}
		if err != nil {
			err = x.unsent(err)
			x.leave(cause(err))
			return err
		}
	}
}

// payback is what a Get may pay: it does so in portions of a quarter of the
// credit, so that the giver neither waits nor is flooded with PAYs.
type payback struct{ owed, portion int64 }

// sendGet sends one message, unless an earlier one failed, releases it, and
// pays for it.
func sendGet(out *sender, till *payback, d *broker.Delivery, failed error) error {
	switch {
	case failed != nil:
		out.drop(d)
		return nil
	case d.Type == zio.BOT:
		credit := d.Credit
		till.portion = max(1, credit/4)
		if err := out.bot(d, &gatewayv1.GetResponse{Message: &gatewayv1.GetResponse_Bot{Bot: toBot(*d, out.exchange.takenBy())}}); err != nil {
			return err
		}
		return out.exchange.pay(credit)
	case d.Type == zio.DAT:
		if err := out.send(d); err != nil {
			return err
		}
		if till.owed++; till.owed < till.portion {
			return nil
		}
		owed := till.owed
		till.owed = 0
		return out.exchange.pay(owed)
	case d.Type == zio.EOT:
		if d.Reason == flow.NotEnded {
			if err := out.exchange.answerEOT(); err != nil {
				out.drop(d)
				return err
			}
			info := out.exchange.flow().Info()
			d.Reason, d.Detail = info.Reason, info.Detail
		}
		return out.send(d)
	default: // a PAY: a Get does not give
		out.drop(d)
		return nil
	}
}
