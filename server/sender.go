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
	return &sender{stream: stream, exchange: x, message: outgoing{members: members, left: x.left}}
}

// take waits for deliveries. Each is to be sent or dropped.
func (s *sender) take(ctx context.Context) (batch []broker.Delivery, err error) {
	s.batch, err = s.exchange.outbox.Take(ctx, s.batch)
	return s.batch, err
}

// send sends a PAY, DAT or EOT, and releases it.
func (s *sender) send(d *broker.Delivery) error {
	s.message.delivery, s.message.encoded, s.message.passed = *d, false, false
	err := s.stream.SendMsg(&s.message)
	switch {
	case !s.message.encoded:
		s.drop(d)
	case !s.message.passed:
		d.Message.Release()
	}
	s.message.delivery = broker.Delivery{}
	return err
}

// bot sends a BOT, as the generated code has it, and releases it.
func (s *sender) bot(d *broker.Delivery, response any) error {
	defer d.Message.Release()
	return s.generated(response, tollOf(d, s.exchange.left))
}

// last sends a response after which nothing comes.
func (s *sender) last(response any) error {
	s.exchange.delivered.add(0)
	s.exchange.stall.watch()
	return s.generated(response, toll{tally: s.exchange.left, size: -1})
}

// generated sends a message of the generated code, which counts as delivered already.
func (s *sender) generated(response any, c toll) error {
	m := &counted{message: response, toll: c}
	err := s.stream.SendMsg(m)
	if !m.taken {
		m.toll.gone()
	}
	return err
}

// drop releases and counts a message that is not sent.
func (s *sender) drop(d *broker.Delivery) {
	c := tollOf(d, s.exchange.left)
	d.Message.Release()
	c.gone()
}
