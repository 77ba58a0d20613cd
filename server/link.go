package server

import (
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Deliver implements transport.Link.
func (x *flowStream) Deliver(d transport.Delivery) error {
	weight, kind := d.Weight, d.Type
	x.Add(weight)
	switch kind {
	case zio.DAT:
		x.dats.Add(1)
	case zio.EOT:
		x.eotCame.Store(true)
	}
	err := x.outbox.Deliver(d)
	if err != nil {
		x.Drop(weight)
	}
	if kind == zio.BOT {
		x.markAnswered()
	}
	x.stall.watch()
	x.Progress.Changed.Notify()
	return err
}

// Flush implements transport.Link.
func (x *flowStream) Flush() { x.outbox.Flush() }

// Ended implements transport.Link.
func (x *flowStream) Ended(reason flow.Reason, detail string) {
	x.outbox.Ended(reason, detail)
	x.markAnswered()
	x.ending.Do(func() { close(x.ended) })
}

func (x *flowStream) markAnswered() { x.answering.Do(func() { close(x.answered) }) }

// waits tells whether something is there for the stream to take.
func (x *flowStream) waits() bool { return x.Waiting() > 0 }

// until waits until so is true, which is asked again whenever something has been
// delivered or has left; false if the flow or the stream ends before. One goroutine
// waits at a time.
func (x *flowStream) until(so func() bool) bool {
	changed := x.Progress.Changed.Listen()
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
