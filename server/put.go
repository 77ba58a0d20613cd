package server

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/contract"
)

// Put gives for the stream: it reads as the taker pays.
func (s *flowService) Put(stream grpc.ClientStreamingServer[gatewayv1.PutRequest, gatewayv1.PutResponse]) error {
	ctx := stream.Context()
	first := codec.Request{Members: codec.PutMembers}
	if err := recvFirst(stream, &first); err != nil {
		return err
	}
	x := s.newFlowStream(ctx)
	defer x.returned()
	defer x.unwind()
	credit := newCredit()
	if err := x.begin(&first, zio.Extract); err != nil {
		return err
	}
	s.streams.Go(func() { s.reading(ctx, x, func() { readPut(ctx, stream, x, credit) }) })

	response := &putResponse{}
	defer response.drop()
	out := newSender(stream, x, codec.PutMembers)
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
func (r *putResponse) note(out *sender, d *transport.Delivery, credit *semaphore.Weighted) error {
	if d.Type == zio.BOT && r.bot == nil {
		r.Bot = contract.ToBot(*d, out.stream.takenBy())
		r.TakenBy = r.Bot.GetTakenBy()
		r.bot = out.Keep(d)
		return nil
	}
	defer out.Drop(d)
	switch d.Type {
	case zio.PAY:
		credit.Release(d.Credit)
	case zio.EOT:
		r.EotLabel = string(d.Message.Label)
		if d.Reason == flow.NotEnded { // the taker has had enough
			return out.stream.eot()
		}
	}
	return nil
}

// send sends the response.
func (r *putResponse) send(out *sender, x *flowStream) error {
	info := x.flow().Info()
	r.FlowId = uint64(info.ID)
	r.Messages, r.Bytes = info.Data.Messages, info.Data.Bytes
	r.Reason = contract.ReasonOf(info.Reason)
	of := r.bot
	r.bot = nil
	if of == nil {
		of = &zio.Message{}
	}
	return out.sendFinal(&r.PutResponse, of)
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
func readPut(ctx context.Context, stream grpc.ServerStream, x *flowStream, credit *semaphore.Weighted) {
	in := codec.Request{Members: codec.PutMembers}
	for {
		err := stream.RecvMsg(&in)
		switch {
		case errors.Is(err, io.EOF):
			x.halfClosed()
			return
		case err != nil:
			x.broke(err)
			return
		case in.TooLarge != nil:
			x.fail(in.TooLarge)
			return
		case in.Type == zio.EOT:
			if err := passOn(ctx, &in, x); err != nil {
				x.broke(err)
			}
			return
		case in.Type != zio.DAT:
			in.Drop()
			x.fail(contract.BadField("message", "must be a dat or an eot after the bot"))
			return
		}
		if credit.Acquire(ctx, 1) != nil {
			in.Drop()
			return
		}
		if err := x.send(zio.DAT, in.Inbound); err != nil {
			x.fail(err)
			return
		}
	}
}
