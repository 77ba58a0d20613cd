package codec

import (
	"runtime"

	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Writer sends messages of the broker on a stream, and counts them in a Progress: each
// exactly once, when it has left or was dropped. It takes the messages over. Used by the
// goroutine that sends on the stream.
type Writer struct {
	stream   Stream
	outbound outbound
}

// Stream is what a Writer sends on: a grpc.ServerStream, or a grpc.ClientStream that has the
// Codec forced upon it.
type Stream interface{ SendMsg(message any) error }

// NewWriter returns a writer of a call's messages, which have these members.
func NewWriter(stream Stream, members *Members, p *Progress) *Writer {
	return &Writer{stream: stream, outbound: outbound{members: members, progress: p}}
}

// Send sends a PAY, DAT or EOT. The error is gRPC's.
func (w *Writer) Send(d *transport.Delivery) error {
	o := &w.outbound
	o.delivery, o.encoded, o.borrowed = *d, false, false
	err := w.stream.SendMsg(o)
	switch {
	case !o.encoded:
		w.Drop(d)
	case !o.borrowed:
		d.Message.Release()
	}
	o.delivery = transport.Delivery{}
	return err
}

// SendBOT sends a BOT, of which response is the message of the generated code. The error
// is gRPC's.
func (w *Writer) SendBOT(d *transport.Delivery, response any) error {
	return w.sendGenerated(response, &borrowed{message: d.Message, entry: newEntry(d, w.outbound.progress)})
}

// SendFinal sends the final response of a call, after which nothing comes, which was
// made of a message. Its own weight is none. The error is gRPC's.
func (w *Writer) SendFinal(response any, of *zio.Message) error {
	return w.sendGenerated(response, &borrowed{message: of, entry: entry{progress: w.outbound.progress, size: -1}})
}

func (w *Writer) sendGenerated(response any, of *borrowed) error {
	g := &generated{message: response, of: of}
	runtime.AddCleanup(g, (*borrowed).release, of) // where gRPC has lost it, with its connection
	err := w.stream.SendMsg(g)
	if !g.taken {
		of.release()
	}
	return err
}

// Keep counts a message as Drop does, but leaves it to the caller to release.
func (w *Writer) Keep(d *transport.Delivery) *zio.Message {
	e := newEntry(d, w.outbound.progress)
	e.left()
	return d.Message
}

// Drop releases and counts a message that is not sent.
func (w *Writer) Drop(d *transport.Delivery) {
	e := newEntry(d, w.outbound.progress)
	d.Message.Release()
	e.left()
}
