package server

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/contract"
)

// Open relays between a stream and the broker. Its handler writes; another
// goroutine reads, and ends when the stream does.
func (s *flowService) Open(stream grpc.BidiStreamingServer[gatewayv1.OpenRequest, gatewayv1.OpenResponse]) error {
	ctx := stream.Context()
	first := codec.Request{Members: codec.OpenMembers}
	if err := recvFirst(stream, &first); err != nil {
		return err
	}
	x := s.newFlowStream(ctx)
	defer x.returned()
	defer x.unwind()
	if err := x.begin(&first, zio.NoDirection); err != nil {
		return err
	}
	s.streams.Go(func() { s.reading(ctx, x, func() { readOpen(ctx, stream, x) }) })

	return relayFlow(ctx, newSender(stream, x, codec.OpenMembers), sendOpen)
}

// relayFlow sends what is delivered, each by send, until nothing more comes, and returns the
// status to end the stream with. After an error send is to drop what it is given.
func relayFlow(ctx context.Context, out *sender, send func(*sender, *transport.Delivery, error) error) error {
	for {
		batch, err := out.take(ctx)
		if err != nil {
			return out.stream.result(err)
		}
		for i := range batch {
			err = errors.Join(err, send(out, &batch[i], err))
		}
		if err != nil {
			return out.stream.unsent(err)
		}
	}
}

// sendOpen sends one message, unless an earlier one failed, and releases it.
func sendOpen(out *sender, d *transport.Delivery, failed error) error {
	switch {
	case failed != nil:
		out.Drop(d)
		return nil
	case d.Type == zio.BOT:
		return out.SendBOT(d, &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: contract.ToBot(*d, out.stream.takenBy())}})
	default:
		return out.Send(d)
	}
}

// readOpen takes in what follows the BOT. Where the client is at another node, an end that
// that has made is not the client's EOT: it ends the flow here for the same reason.
func readOpen(ctx context.Context, stream grpc.ServerStream, x *flowStream) {
	in := codec.Request{Members: codec.OpenMembers}
	for {
		err := stream.RecvMsg(&in)
		switch {
		case errors.Is(err, io.EOF):
			x.halfClosed()
		case err != nil:
			x.broke(err)
		case x.carried && in.EndsFlow():
			x.stop(in.Inbound.Reason, in.Inbound.Detail)
			in.Drop()
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
