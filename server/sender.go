package server

import (
	"context"
	"runtime"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/zio"
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

// bot sends a BOT, as the generated code has it, and releases it when it has left.
func (s *sender) bot(d *broker.Delivery, response any) error {
	return s.generated(response, &lent{message: d.Message, toll: tollOf(d, s.exchange.left)})
}

// last sends a response after which nothing comes, and releases what it was made of.
func (s *sender) last(response any, of *zio.Message) error {
	s.exchange.delivered.add(0)
	s.exchange.stall.watch()
	return s.generated(response, &lent{message: of, toll: toll{tally: s.exchange.left, size: -1}})
}

// generated sends a message of the generated code, which counts as delivered already.
func (s *sender) generated(response any, of *lent) error {
	m := &counted{message: response, of: of}
	runtime.AddCleanup(m, (*lent).release, of) // where gRPC has lost it, with its connection
	err := s.stream.SendMsg(m)
	if !m.taken {
		of.release()
	}
	return err
}

// keep counts a message that is not sent as drop does, but does not release it.
func (s *sender) keep(d *broker.Delivery) *zio.Message {
	c := tollOf(d, s.exchange.left)
	c.gone()
	return d.Message
}

// drop releases and counts a message that is not sent.
func (s *sender) drop(d *broker.Delivery) {
	c := tollOf(d, s.exchange.left)
	d.Message.Release()
	c.gone()
}
