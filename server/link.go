package server

import (
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// Deliver implements broker.Link.
func (x *exchange) Deliver(d broker.Delivery) error {
	weight, kind := int64(d.Message.Weight()), d.Type
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
		x.settle()
	}
	x.stall.watch()
	x.progress.Changed.Notify()
	return err
}

// Flush implements broker.Link.
func (x *exchange) Flush() { x.outbox.Flush() }

// Queued implements broker.Link.
func (x *exchange) Queued() (messages, bytes int64) {
	if x.closed.Load() {
		return 0, 0
	}
	messages, bytes = x.progress.Left.Messages.Load(), x.progress.Left.Bytes.Load() // first: the difference is never too small
	return x.delivered.Messages.Load() - messages, x.delivered.Bytes.Load() - bytes
}

// Moved implements broker.Mover.
func (x *exchange) Moved() uint64 { return uint64(x.progress.Moved()) }

// Departed implements broker.Departed: an exchange has one flow.
func (x *exchange) Departed() broker.Count {
	return broker.Count{
		Messages: uint64(x.progress.DATs.Messages.Load()), Bytes: uint64(x.progress.DATs.Bytes.Load()),
	}
}

// Ended implements broker.Link.
func (x *exchange) Ended(reason flow.Reason, detail string) {
	x.outbox.Ended(reason, detail)
	x.settle()
	x.ending.Do(func() { close(x.ended) })
}

func (x *exchange) settle() { x.settling.Do(func() { close(x.settled) }) }

// waiting counts the messages that have not left.
func (x *exchange) waiting() int64 {
	left := x.progress.Left.Messages.Load() // first, as in Queued
	return x.delivered.Messages.Load() - left
}

// waits tells whether something is there for the stream to take.
func (x *exchange) waits() bool { return x.waiting() > 0 }

// until waits until so is true, which is asked again whenever something has been
// delivered or has left; false if the flow or the stream ends before. One goroutine
// waits at a time.
func (x *exchange) until(so func() bool) bool {
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
func (x *exchange) returned() {
	if x.ctx.Err() != nil {
		x.stall.finish()
	}
}
