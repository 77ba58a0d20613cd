package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/internal/logs"
)

// errBroken is what the caller learns of a panic: the rest is the operator's.
var errBroken = status.Error(codes.Internal, "the gateway failed; its log says why")

// brokenFlow is a panic on its way out of a call, and the flow that it hit.
type brokenFlow struct {
	cause any
	flow  transport.FlowID
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
