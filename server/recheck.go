package server

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/access"
)

// recheckInterval is how often the right to a call that lasts is asked for besides.
const recheckInterval = 5 * time.Second

// recheckCalls asks for the caller's right at each message of a call that lasts, and now and
// then while there is none: what is withdrawn, or has expired, ends the call. What
// carries flows is asked at each BOT.
func recheckCalls() interceptor {
	return interceptor{
		unary: func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			return handler(ctx, request)
		},
		stream: func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			c := callerOf(stream.Context())
			if c == nil || isFlow(info.FullMethod) || info.FullMethod == unknownMethod {
				return handler(service, stream)
			}
			ctx, cancel := context.WithCancelCause(stream.Context())
			a := &recheckedStream{stream, ctx, c, rolesFor(info.FullMethod)}
			var asking sync.WaitGroup
			defer asking.Wait()
			defer cancel(nil)
			asking.Go(func() { a.keepChecking(cancel) })
			err := handler(service, a)
			if err != nil && ctx.Err() != nil && stream.Context().Err() == nil {
				return context.Cause(ctx)
			}
			return err
		},
	}
}

// recheckedStream is a stream whose caller must have one of the roles as long as it lasts.
type recheckedStream struct {
	grpc.ServerStream
	ctx    context.Context
	caller *caller
	roles  []access.Role
}

// keepChecking cancels the call when the right is gone. It returns when the call has
// ended.
func (a *recheckedStream) keepChecking(cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(recheckInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := a.caller.need(a.roles...); err != nil {
				cancel(err)
				return
			}
		case <-a.ctx.Done():
			return
		}
	}
}

// Context implements grpc.ServerStream.
func (a *recheckedStream) Context() context.Context { return a.ctx }

// SendMsg implements grpc.ServerStream.
func (a *recheckedStream) SendMsg(m any) error {
	if err := a.caller.need(a.roles...); err != nil {
		return err
	}
	return a.ServerStream.SendMsg(m)
}

// RecvMsg implements grpc.ServerStream.
func (a *recheckedStream) RecvMsg(m any) error {
	if err := a.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return a.caller.need(a.roles...)
}
