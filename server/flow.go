package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// flowService implements gatewayv1.FlowServiceServer.
type flowService struct {
	gatewayv1.UnimplementedFlowServiceServer
	broker   *broker.Broker
	log      *slog.Logger
	counters *counters
	streams  *sync.WaitGroup
}

// Open relays between a stream and the broker. Its handler writes; another
// goroutine reads, and ends when the stream does.
func (s *flowService) Open(stream grpc.BidiStreamingServer[gatewayv1.OpenRequest, gatewayv1.OpenResponse]) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if err != nil {
		return firstError(err)
	}
	x := newExchange(ctx, s.broker)
	defer x.unwind()
	if err := x.bot(first.GetBot(), zio.NoDirection); err != nil {
		return err
	}
	s.streams.Go(func() { s.reading(ctx, x, func() { readOpen(ctx, stream, x) }) })

	var batch []broker.Delivery
	for {
		if batch, err = x.outbox.Take(ctx, batch); err != nil {
			return x.result(err)
		}
		for i := range batch {
			err = errors.Join(err, sendOpen(stream, batch[i], err))
		}
		if err != nil {
			return err
		}
	}
}

// firstError is what a stream without a first message ends with.
func firstError(err error) error {
	if errors.Is(err, io.EOF) {
		return badField("bot", "must come first")
	}
	return err
}

// sendOpen sends one message, unless an earlier one failed, and releases it.
func sendOpen(stream grpc.ServerStreamingServer[gatewayv1.OpenResponse], d broker.Delivery, failed error) error {
	defer d.Message.Release()
	if failed != nil {
		return nil
	}
	response := &gatewayv1.OpenResponse{}
	switch d.Type {
	case zio.BOT:
		response.Message = &gatewayv1.OpenResponse_Bot{Bot: toBot(d)}
	case zio.PAY:
		response.Message = &gatewayv1.OpenResponse_Pay{Pay: toPay(d)}
	case zio.DAT:
		response.Message = &gatewayv1.OpenResponse_Dat{Dat: toDat(d)}
	case zio.EOT:
		response.Message = &gatewayv1.OpenResponse_Eot{Eot: toEot(d)}
	}
	return stream.Send(response)
}

// readOpen takes in what follows the BOT.
func readOpen(ctx context.Context, stream grpc.BidiStreamingServer[gatewayv1.OpenRequest, gatewayv1.OpenResponse], x *exchange) {
	for {
		request, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			x.shut()
		case err != nil:
			x.broke(err)
		default:
			if err = takeOpen(ctx, request, x); err != nil {
				x.broke(err)
			}
		}
		if err != nil {
			return
		}
	}
}

// takeOpen passes one message on, once the BOT is answered: who does not speak
// ZIO cannot be asked to wait by himself.
func takeOpen(ctx context.Context, request *gatewayv1.OpenRequest, x *exchange) error {
	select {
	case <-x.settled:
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	switch message := request.GetMessage().(type) {
	case *gatewayv1.OpenRequest_Bot:
		return badField("bot", "may come only once")
	case *gatewayv1.OpenRequest_Pay:
		return x.pay(message.Pay)
	case *gatewayv1.OpenRequest_Dat:
		return x.dat(message.Dat)
	case *gatewayv1.OpenRequest_Eot:
		return x.eot(message.Eot)
	default:
		return badField("message", "must be one of bot, pay, dat, eot")
	}
}

// Put gives for the stream: it reads as the taker pays.
func (s *flowService) Put(stream grpc.ClientStreamingServer[gatewayv1.PutRequest, gatewayv1.PutResponse]) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if err != nil {
		return firstError(err)
	}
	x := newExchange(ctx, s.broker)
	defer x.unwind()
	credit := newCredit()
	if err := x.bot(first.GetBot(), zio.Extract); err != nil {
		return err
	}
	s.streams.Go(func() { s.reading(ctx, x, func() { readPut(ctx, stream, x, credit) }) })

	response := &gatewayv1.PutResponse{}
	var batch []broker.Delivery
	for {
		if batch, err = x.outbox.Take(ctx, batch); err != nil {
			break
		}
		for _, d := range batch {
			switch d.Type {
			case zio.BOT:
				response.Bot = toBot(d)
				response.Bot.Payload = clonePayload(d.Message.Payload)
			case zio.PAY:
				credit.Release(d.Credit)
			case zio.EOT:
				response.EotLabel = string(d.Message.Label)
				if d.Reason == flow.NotEnded { // the taker has had enough
					err = x.eot(&gatewayv1.Eot{})
				}
			}
			d.Message.Release()
		}
		if err != nil {
			return err
		}
	}
	if err := x.result(err); err != nil {
		return err
	}
	info := x.flow().Info()
	response.FlowId = uint64(info.ID)
	response.Messages, response.Bytes = info.Data.Messages, info.Data.Bytes
	response.Reason = reasonOf(info.Reason)
	return stream.SendAndClose(response)
}

// newCredit is a semaphore that counts the credit of a giver, from 0.
func newCredit() *semaphore.Weighted {
	const most = 1 << 62
	credit := semaphore.NewWeighted(most)
	credit.TryAcquire(most)
	return credit
}

func clonePayload(payload [][]byte) [][]byte {
	cloned := make([][]byte, len(payload))
	for i, part := range payload {
		cloned[i] = append([]byte(nil), part...)
	}
	return cloned
}

// readPut reads a DAT for every credit. Without credit it does not read, and
// HTTP/2 holds the caller back.
func readPut(ctx context.Context, stream grpc.ClientStreamingServer[gatewayv1.PutRequest, gatewayv1.PutResponse], x *exchange, credit *semaphore.Weighted) {
	for {
		request, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			x.shut()
			return
		case err != nil:
			x.broke(err)
			return
		case request.GetDat() == nil:
			x.fail(badField("dat", "must follow the bot"))
			return
		}
		if credit.Acquire(ctx, 1) != nil {
			return
		}
		if err := x.dat(request.GetDat()); err != nil {
			x.fail(err)
			return
		}
	}
}

// Get takes for the stream: it pays as the stream accepts.
func (s *flowService) Get(request *gatewayv1.GetRequest, stream grpc.ServerStreamingServer[gatewayv1.GetResponse]) error {
	ctx := stream.Context()
	x := newExchange(ctx, s.broker)
	defer x.unwind()
	if err := x.bot(request.GetBot(), zio.Inject); err != nil {
		return err
	}
	defer x.leave("stream ended")
	var (
		batch []broker.Delivery
		till  payback
		err   error
	)
	for {
		if batch, err = x.outbox.Take(ctx, batch); err != nil {
			return x.result(err)
		}
		for i := range batch {
			err = errors.Join(err, s.sendGet(stream, x, &till, batch[i], err))
		}
		if err != nil {
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
func (s *flowService) sendGet(stream grpc.ServerStreamingServer[gatewayv1.GetResponse], x *exchange, till *payback, d broker.Delivery, failed error) error {
	defer d.Message.Release()
	if failed != nil {
		return nil
	}
	switch d.Type {
	case zio.BOT:
		till.portion = max(1, d.Credit/4)
		if err := stream.Send(&gatewayv1.GetResponse{Message: &gatewayv1.GetResponse_Bot{Bot: toBot(d)}}); err != nil {
			return err
		}
		return x.pay(&gatewayv1.Pay{Credit: d.Credit})
	case zio.DAT:
		if err := stream.Send(&gatewayv1.GetResponse{Message: &gatewayv1.GetResponse_Dat{Dat: toDat(d)}}); err != nil {
			return err
		}
		if till.owed++; till.owed < till.portion {
			return nil
		}
		owed := till.owed
		till.owed = 0
		return x.pay(&gatewayv1.Pay{Credit: owed})
	case zio.EOT:
		eot := toEot(d)
		if d.Reason == flow.NotEnded { // answered here, so this completes the flow
			if err := x.eot(&gatewayv1.Eot{}); err != nil {
				return err
			}
			eot.Reason = reasonOf(x.flow().Info().Reason)
		}
		return stream.Send(&gatewayv1.GetResponse{Message: &gatewayv1.GetResponse_Eot{Eot: eot}})
	}
	return nil
}
