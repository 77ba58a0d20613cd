package server

import (
	"context"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/server/codec"
)

// sender sends what is delivered to a stream. It belongs to the goroutine that
// serves the stream.
type sender struct {
	*codec.Writer
	stream *flowStream
	batch  []broker.Delivery
}

func newSender(stream grpc.ServerStream, x *flowStream, members *codec.Members) *sender {
	return &sender{Writer: codec.NewWriter(stream, members, x.progress), stream: x}
}

// take waits for deliveries. Each is to be sent or dropped.
func (s *sender) take(ctx context.Context) (batch []broker.Delivery, err error) {
	s.batch, err = s.stream.outbox.Take(ctx, s.batch)
	return s.batch, err
}

// sendFinal sends the final response of a call, which was made of a message. It counts
// as queued like those that the broker has delivered.
func (s *sender) sendFinal(response any, of *zio.Message) error {
	s.stream.delivered.Add(0)
	s.stream.stall.watch()
	return s.SendFinal(response, of)
}
