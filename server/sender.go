package server

import (
	"context"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker"
)

// sender sends what is delivered to an exchange. It belongs to the goroutine that
// serves the stream.
type sender struct {
	stream   grpc.ServerStream
	exchange *exchange
	batch    []broker.Delivery
	message  outgoing
}

func newSender(stream grpc.ServerStream, x *exchange, members *oneof) *sender {
	return &sender{stream: stream, exchange: x, message: outgoing{members: members, left: x.left, stall: &x.stall}}
}

// take waits for deliveries. Each is to be sent or dropped.
func (s *sender) take(ctx context.Context) (batch []broker.Delivery, err error) {
	s.batch, err = s.exchange.outbox.Take(ctx, s.batch)
	return s.batch, err
}

// send sends a PAY, DAT or EOT, and releases it.
func (s *sender) send(d *broker.Delivery) error {
	s.message.delivery, s.message.passed = *d, false
	s.exchange.handed = true
	err := s.stream.SendMsg(&s.message)
	if !s.message.passed {
		s.drop(d)
	}
	s.message.delivery = broker.Delivery{}
	return err
}

// bot sends a BOT, as the generated code has it, and releases it.
func (s *sender) bot(d *broker.Delivery, response any) error {
	defer s.drop(d)
	s.exchange.handed = true
	return s.stream.SendMsg(response)
}

// last sends a response after which nothing comes.
func (s *sender) last(response any) error {
	s.exchange.handed = true
	return s.stream.SendMsg(&farewell{message: response, left: s.exchange.left, stall: &s.exchange.stall})
}

// drop releases a message that is not sent, or that gRPC has a copy of.
func (s *sender) drop(d *broker.Delivery) {
	weight := int64(d.Message.Weight())
	d.Message.Release()
	s.exchange.left.add(weight)
}
