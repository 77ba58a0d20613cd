package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/internal/logs"
)

// errBroken is what the caller learns of a panic: the rest is the operator's.
var errBroken = status.Error(codes.Internal, "the gateway failed; its log says why")

// brokenFlow is a panic on its way out of a call, and the flow that it hit.
type brokenFlow struct {
	cause any
	flow  broker.FlowID
	stack []byte
}

// recoverCalls makes INTERNAL and an error log of a panic: a mistake costs the
// call in which it shows, not the process.
func recoverCalls(log *logs.Sampler, c *counters) interceptor {
	option := recovery.WithRecoveryHandlerContext(func(ctx context.Context, cause any) error {
		broken, ok := cause.(*brokenFlow)
		if !ok {
			broken = &brokenFlow{cause: cause, stack: debug.Stack()}
		}
		broken.report(ctx, log, c)
		return errBroken
	})
	return interceptor{
		unary:  recovery.UnaryServerInterceptor(option),
		stream: recovery.StreamServerInterceptor(option),
	}
}

func (b *brokenFlow) report(ctx context.Context, log *logs.Sampler, c *counters) {
	c.panics.Inc()
	attributes := []any{"error", fmt.Sprint(b.cause), "stack", string(b.stack)}
	if b.flow != 0 {
		attributes = append([]any{"flow", uint64(b.flow)}, attributes...)
	}
	say(ctx, log, slog.LevelError, "call_failed", "call failed", attributes...)
}

// unwind is deferred by a call that has x: a panic takes the stream out of its
// flow, so that the other side is told, and goes on to the interceptor.
func (x *exchange) unwind() {
	if cause := recover(); cause != nil {
		panic(x.breakOff(cause))
	}
}

// reading runs the half of a call that reads, waits until the call is over and
// takes the stream out of its flow.
func (s *flowService) reading(ctx context.Context, x *exchange, read func()) {
	s.survive(ctx, x, read)
	<-ctx.Done()
	x.hangUp()
}

// survive has a panic end the call as one in the call's handler does.
func (s *flowService) survive(ctx context.Context, x *exchange, read func()) {
	defer func() {
		if cause := recover(); cause != nil {
			x.broken.Store(true)
			x.breakOff(cause).report(ctx, s.log, s.counters)
		}
	}()
	read()
}

// breakOff is called where the panic was, whose stack it keeps.
func (x *exchange) breakOff(cause any) *brokenFlow {
	broken := &brokenFlow{cause: cause, stack: debug.Stack()}
	if f := x.flow(); f != nil {
		broken.flow = f.ID()
	}
	x.leave("the gateway failed in its call")
	x.stall.finish() // what was queued is not counted out
	return broken
}
