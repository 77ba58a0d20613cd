package server

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// interceptor is one concern, for calls of either kind.
type interceptor struct {
	unary  grpc.UnaryServerInterceptor
	stream grpc.StreamServerInterceptor
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
