package server

import (
	"context"
	"slices"
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

// chain is all interceptors, in their order.
type chain struct {
	unary  grpc.UnaryServerInterceptor // shown no request
	read   grpc.UnaryServerInterceptor // shown the request, when it has been read
	stream grpc.StreamServerInterceptor
}

// entrance is who lets calls in.
type entrance struct {
	*gatekeeper              // nil where nobody is asked who he is
	check       *interceptor // nil where everybody may call everything
}

// newChain puts the interceptors in their order, from the outermost to the handler:
//
//   - that the call waits no longer for a handler;
//   - the bounds of what a caller is told; the log has more of it;
//   - metrics, so that every call counts, with the status that its caller gets,
//     whichever of the others refuses it;
//   - logging, for the same reason;
//   - recovery, inside both, so that they see a panic as the INTERNAL it becomes;
//   - the headers' size, before anybody looks at them;
//   - authentication: strangers are turned away before they cost anything more. Where
//     nobody is asked who he is, those on other machines are no operators;
//   - the rate limit, and how many calls there may be at once;
//   - compression, which is refused;
//   - validation, so that a handler is called with requests that make sense.
//
// All but the last have let a call in before anything is read of it. The streams of
// FlowService reach their handlers as grpc-go made them: an interceptor that wrapped
// what they send and receive would cost every DAT.
func newChain(log *logs.Sampler, c *counters, in entrance, l *limiter, allowed *allowances) chain {
	all := []interceptor{checkCalls(begin), boundStatuses(), countCalls(c), logCalls(log), recoverCalls(log, c), checkCalls(checkHeaders)}
	if in.check != nil {
		all = append(all, *in.check)
	}
	all = append(all, checkCalls(in.welcome), limitCalls(l, c), allowCalls(allowed), checkCalls(checkCompression))
	if in.gatekeeper != nil {
		all = append(all, askAgain())
	}
	validation := validateCalls()
	return chain{
		unary:  chainUnary(all),
		read:   validation.unary,
		stream: chainStream(append(all, validation)),
	}
}

// chainUnary is one interceptor that calls them all, the first outermost.
func chainUnary(all []interceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		for _, i := range slices.Backward(all) {
			inner := handler
			handler = func(ctx context.Context, request any) (any, error) { return i.unary(ctx, request, info, inner) }
		}
		return handler(ctx, request)
	}
}

// chainStream is the same for streams.
func chainStream(all []interceptor) grpc.StreamServerInterceptor {
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		for _, i := range slices.Backward(all) {
			inner := handler
			handler = func(service any, stream grpc.ServerStream) error { return i.stream(service, stream, info, inner) }
		}
		return handler(service, stream)
	}
}

// checkCalls refuses a call with the error of a check, which is told the method.
func checkCalls(check func(ctx context.Context, fullMethod string) error) interceptor {
	return interceptor{
		unary: func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			if err := check(ctx, info.FullMethod); err != nil {
				return nil, err
			}
			return handler(ctx, request)
		},
		stream: func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if err := check(stream.Context(), info.FullMethod); err != nil {
				return err
			}
			return handler(service, stream)
		},
	}
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
