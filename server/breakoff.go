package server

import (
	"context"
	"runtime/debug"
)

// unwind is deferred by a call that has x: a panic takes the stream out of its
// flow, so that the other side is told, and goes on to the interceptor.
func (x *flowStream) unwind() {
	if cause := recover(); cause != nil {
		panic(x.breakOff(cause))
	}
}

// reading runs the half of a call that reads, waits until the call is over and
// takes the stream out of its flow.
func (s *flowService) reading(ctx context.Context, x *flowStream, read func()) {
	s.survive(ctx, x, read)
	<-ctx.Done()
	x.hangUp()
}

// survive has a panic end the call as one in the call's handler does.
func (s *flowService) survive(ctx context.Context, x *flowStream, read func()) {
	defer func() {
		if cause := recover(); cause != nil {
			x.broken.Store(true)
			x.breakOff(cause).report(ctx, s.log, s.counters)
		}
	}()
	read()
}

// breakOff is called where the panic was, whose stack it keeps.
func (x *flowStream) breakOff(cause any) *brokenFlow {
	broken := &brokenFlow{cause: cause, stack: debug.Stack()}
	if f := x.flow(); f != nil {
		broken.flow = f.ID()
	}
	x.leave("the gateway failed in its call")
	x.stall.finish() // what was queued is not counted out
	return broken
}
