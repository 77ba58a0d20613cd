package server

import (
	"context"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/server/codec"
)

// sender sends what is delivered to a stream. It belongs to the goroutine that
// serves the stream.
type sender struct {
	*codec.Writer
	stream *flowStream
	batch  []transport.Delivery
	begun  bool // something was taken
}

func newSender(stream grpc.ServerStream, x *flowStream, members *codec.Members) *sender {
	return &sender{Writer: codec.NewWriter(stream, members, x.Progress), stream: x}
}

// take waits for deliveries. Each is to be sent or dropped.
//
// The gateway's EOT is none of them where nothing has come before it: such a call ends
// with the status alone, before headers and messages, as callers' retry policies want it.
func (s *sender) take(ctx context.Context) (batch []transport.Delivery, err error) {
	s.batch, err = s.stream.outbox.Take(ctx, s.batch)
	batch = s.batch
	if !s.begun && len(batch) > 0 {
		s.begun = true
		if first := &batch[0]; first.Type == zio.EOT && first.Reason != flow.NotEnded {
			s.Drop(first)
			batch = batch[1:]
		}
	}
	return batch, err
}

// sendFinal sends the final response of a call, which was made of a message. It counts
// as queued like those that the broker has delivered.
func (s *sender) sendFinal(response any, of *zio.Message) error {
	s.stream.Add(0)
	s.stream.stall.watch()
	return s.SendFinal(response, of)
}
