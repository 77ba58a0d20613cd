package server

import (
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// Deliver implements broker.Link.
func (x *flowStream) Deliver(d broker.Delivery) error {
	weight, kind := d.Weight, d.Type
	x.delivered.Add(weight)
	switch kind {
	case zio.DAT:
		x.dats.Add(1)
	case zio.EOT:
		x.eotCame.Store(true)
	}
	err := x.outbox.Deliver(d)
	if err != nil {
		x.progress.Left.Add(weight)
	}
	if kind == zio.BOT {
		x.markAnswered()
	}
	x.stall.watch()
	x.progress.Changed.Notify()
	return err
}

// Flush implements broker.Link.
func (x *flowStream) Flush() { x.outbox.Flush() }

// Queued implements broker.Link.
func (x *flowStream) Queued() (messages, bytes int64) {
	if x.closed.Load() {
		return 0, 0
	}
	messages, bytes = x.progress.Left.Messages.Load(), x.progress.Left.Bytes.Load() // first: the difference is never too small
	return x.delivered.Messages.Load() - messages, x.delivered.Bytes.Load() - bytes
}

// Moved implements broker.Mover.
func (x *flowStream) Moved() uint64 { return uint64(x.progress.Moved()) }

// Departed implements broker.Departed: a stream has one flow.
func (x *flowStream) Departed() broker.Count {
	return broker.Count{
		Messages: uint64(x.progress.DATs.Messages.Load()), Bytes: uint64(x.progress.DATs.Bytes.Load()),
	}
}

// Ended implements broker.Link.
func (x *flowStream) Ended(reason flow.Reason, detail string) {
	x.outbox.Ended(reason, detail)
	x.markAnswered()
	x.ending.Do(func() { close(x.ended) })
}

func (x *flowStream) markAnswered() { x.answering.Do(func() { close(x.answered) }) }

// waiting counts the messages that have not left.
func (x *flowStream) waiting() int64 {
	left := x.progress.Left.Messages.Load() // first, as in Queued
	return x.delivered.Messages.Load() - left
}

// waits tells whether something is there for the stream to take.
func (x *flowStream) waits() bool { return x.waiting() > 0 }

// until waits until so is true, which is asked again whenever something has been
// delivered or has left; false if the flow or the stream ends before. One goroutine
// waits at a time.
func (x *flowStream) until(so func() bool) bool {
	changed := x.progress.Changed.Listen()
	for !so() {
		select {
		case <-changed:
		case <-x.ended:
			return false
		case <-x.ctx.Done():
			return false
		}
	}
	return true
}

// returned is deferred by the stream's handler, after which gRPC may still have
// something to write.
func (x *flowStream) returned() {
	if x.ctx.Err() != nil {
		x.stall.finish()
	}
}
