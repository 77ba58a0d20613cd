package server

import (
	"strings"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
)

// interceptor is one concern, for calls of either kind.
type interceptor struct {
	unary  grpc.UnaryServerInterceptor
	stream grpc.StreamServerInterceptor
}

// chain puts the interceptors in their order, from the outermost to the handler:
//
//   - the bounds of what a caller is told; the log has more of it;
//   - metrics, so that every call counts, with the status that its caller gets,
//     whichever of the others refuses it;
//   - logging, for the same reason;
//   - recovery, inside both, so that they see a panic as the INTERNAL it becomes;
//   - authentication: strangers are turned away before they cost anything more;
//   - the rate limit, before any look at the request;
//   - validation, so that a handler is called with requests that make sense.
//
// The streams of FlowService reach their handlers as grpc-go made them: an
// interceptor that wrapped what they send and receive would cost every DAT.
func chain(log *logs.Sampler, c *counters, door *gatekeeper, l *limiter) []grpc.ServerOption {
	all := []interceptor{boundStatuses(), countCalls(c), logCalls(log), recoverCalls(log, c)}
	if door != nil {
		all = append(all, door.interceptor())
	}
	return join(append(all, limitCalls(l, c), validateCalls())...)
}

func join(interceptors ...interceptor) []grpc.ServerOption {
	unary := make([]grpc.UnaryServerInterceptor, len(interceptors))
	stream := make([]grpc.StreamServerInterceptor, len(interceptors))
	for n, i := range interceptors {
		unary[n], stream[n] = i.unary, i.stream
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(unary...), grpc.ChainStreamInterceptor(stream...)}
}

// perCall has an interceptor see how a call begins and ends, but none of its
// messages: the handler is given the stream as it came in.
func perCall(inner grpc.StreamServerInterceptor) grpc.StreamServerInterceptor {
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return inner(service, stream, info, func(service any, _ grpc.ServerStream) error {
			return handler(service, stream)
		})
	}
}

// isFlow tells whether a method carries a flow.
func isFlow(fullMethod string) bool {
	return isOf(fullMethod, gatewayv1.FlowService_ServiceDesc.ServiceName)
}

// isOf tells whether a method, "/service/method", is the service's.
func isOf(fullMethod, service string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	return name == service
}
