package server

import (
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/contract"
)

// Get implements gatewayv1.FlowServiceServer, which nobody calls: see serveGet.
func (s *flowService) Get(*gatewayv1.GetRequest, grpc.ServerStreamingServer[gatewayv1.GetResponse]) error {
	return status.Error(codes.Internal, "Get is served by serveGet")
}

// serveGet is the handler of Get. The generated one would have gRPC make INTERNAL of a
// request that is too large to be read.
func serveGet(service any, stream grpc.ServerStream) error {
	request := codec.Request{Members: codec.GetRequestMembers}
	if err := recvFirst(stream, &request); err != nil {
		return err
	}
	return service.(*flowService).get(&request, stream)
}

// get takes for the stream: it pays as the stream accepts.
func (s *flowService) get(request *codec.Request, stream grpc.ServerStream) error {
	ctx := stream.Context()
	x := s.newFlowStream(ctx)
	defer x.returned()
	defer x.unwind()
	if err := x.begin(request, zio.Inject); err != nil {
		return err
	}
	defer x.leave("stream ended")
	out := newSender(stream, x, codec.GetMembers)
	var returner creditReturner
	for {
		batch, err := out.take(ctx)
		if err != nil {
			return x.result(err)
		}
		for i := range batch {
			err = errors.Join(err, sendGet(out, &returner, &batch[i], err))
		}
		if err != nil {
			err = x.unsent(err)
			x.leave(cause(err))
			return err
		}
	}
}

// creditReturner is what a Get may pay: it does so in portions of a quarter of the
// credit, so that the giver neither waits nor is flooded with PAYs.
type creditReturner struct{ owed, portion int64 }

// sendGet sends one message, unless an earlier one failed, releases it, and
// pays for it.
func sendGet(out *sender, returner *creditReturner, d *transport.Delivery, failed error) error {
	switch {
	case failed != nil:
		out.Drop(d)
		return nil
	case d.Type == zio.BOT:
		credit := d.Credit
		returner.portion = max(1, credit/4)
		if err := out.SendBOT(d, &gatewayv1.GetResponse{Message: &gatewayv1.GetResponse_Bot{Bot: contract.ToBot(*d, out.stream.takenBy())}}); err != nil {
			return err
		}
		return out.stream.pay(credit)
	case d.Type == zio.DAT:
		if err := out.Send(d); err != nil {
			return err
		}
		if returner.owed++; returner.owed < returner.portion {
			return nil
		}
		owed := returner.owed
		returner.owed = 0
		return out.stream.pay(owed)
	case d.Type == zio.EOT:
		if d.Reason == flow.NotEnded {
			if err := out.stream.answerEOT(); err != nil {
				out.Drop(d)
				return err
			}
			info := out.stream.flow().Info()
			d.Reason, d.Detail = info.Reason, info.Detail
		}
		return out.Send(d)
	default: // a PAY: a Get does not give
		out.Drop(d)
		return nil
	}
}
