package server

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalphapb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// allowance is how many calls of a kind there may be at once, of all callers together,
// and how old one may become. It may be used concurrently.
type allowance struct {
	most int64
	age  time.Duration // 0 for any
	open atomic.Int64
}

// begin takes a call in, or says why not.
func (a *allowance) begin() error {
	if a.open.Add(1) <= a.most {
		return nil
	}
	a.open.Add(-1)
	return contract.WithDetails(
		status.Newf(codes.ResourceExhausted, "there are %d calls of this kind, as many as may be", a.most),
		&errdetails.ErrorInfo{Domain: contract.ErrorDomain, Reason: "TOO_MANY_CALLS"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(contract.RetryDelay)})
}

func (a *allowance) end() { a.open.Add(-1) }

// allowances are those of all methods.
type allowances struct {
	flows, listeners, watches, health, reflection, others *allowance
}

// newAllowances are for a gateway with so many flows. A flow has two streams at the
// most; those beyond are for callers that the broker refuses, with a reason.
func newAllowances(maxFlows int) *allowances {
	return &allowances{
		flows:      &allowance{most: 2*int64(maxFlows) + 1000},
		listeners:  &allowance{most: 1000},
		watches:    &allowance{most: 64, age: 24 * time.Hour},
		health:     &allowance{most: 256, age: time.Hour}, // strangers may call it,
		reflection: &allowance{most: 64, age: time.Hour},  // and this, if it is public
		others:     &allowance{most: 256},
	}
}

// of is the allowance of a method.
func (a *allowances) of(fullMethod string) *allowance {
	switch serviceOf(fullMethod) {
	case gatewayv1.FlowService_ServiceDesc.ServiceName:
		return a.flows
	case healthpb.Health_ServiceDesc.ServiceName:
		return a.health
	case reflectionpb.ServerReflection_ServiceDesc.ServiceName, reflectionalphapb.ServerReflection_ServiceDesc.ServiceName:
		return a.reflection
	case channelzpb.Channelz_ServiceDesc.ServiceName:
		return a.others
	}
	switch fullMethod {
	case gatewayv1.HandlerService_Listen_FullMethodName:
		return a.listeners
	case gatewayv1.AdminService_WatchFlows_FullMethodName, gatewayv1.AdminService_WatchNodes_FullMethodName:
		return a.watches
	default:
		return a.others
	}
}

// context is one that ends when the call has become as old as it may, or the server is
// stopped, with the status that says so for its cause.
func (a *allowance) context(ctx, stop context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	forget := context.AfterFunc(stop, func() { cancel(contract.Stopping()) })
	var timer *time.Timer
	if a.age > 0 {
		timer = time.AfterFunc(a.age, func() {
			cancel(status.Errorf(codes.Unavailable, "the call is %v old, and may not become older", a.age))
		})
	}
	return ctx, func() {
		forget()
		if timer != nil {
			timer.Stop()
		}
		cancel(context.Canceled)
	}
}

// allowCalls refuses calls of which there are enough.
func allowCalls(all *allowances) interceptor {
	return interceptor{
		unary: func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			a := all.of(info.FullMethod)
			if err := a.begin(); err != nil {
				return nil, err
			}
			defer a.end()
			return handler(ctx, request)
		},
		stream: func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			a := all.of(info.FullMethod)
			if err := a.begin(); err != nil {
				return err
			}
			defer a.end()
			return handler(service, stream)
		},
	}
}
