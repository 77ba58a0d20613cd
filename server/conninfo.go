package server

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/server/conns"
	"github.com/zioflow/gateway/server/grpcgo"
)

// crowdCredentials has connections enter the crowd before they are encrypted, and knows later
// which of them a call came by.
type crowdCredentials struct {
	credentials.TransportCredentials
	crowd *crowd.Crowd
	conns *conns.Table
}

// ServerHandshake implements credentials.TransportCredentials.
func (u *crowdCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	visitor := u.crowd.Enter(conn)
	u.conns.Greet(conn)
	served, info, err := u.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		visitor.Leave()
		return nil, nil, err
	}
	c := u.conns.Add(visitor.Conn(served), conn)
	return c, &connInfo{info, visitor, c}, nil
}

// Clone implements credentials.TransportCredentials.
func (u *crowdCredentials) Clone() credentials.TransportCredentials {
	return &crowdCredentials{u.TransportCredentials.Clone(), u.crowd, u.conns}
}

// connInfo is what is known of a connection: how it is secured, and whose it is.
type connInfo struct {
	credentials.AuthInfo
	visitor *crowd.Visitor
	conn    *conns.Conn
}

// GetSecurityValue implements credentials.ChannelzSecurityInfo.
func (v *connInfo) GetSecurityValue() credentials.ChannelzSecurityValue {
	return securityValue(v.AuthInfo)
}

// securityValue is what channelz shows of how a connection is secured; nil for nothing.
func securityValue(how credentials.AuthInfo) credentials.ChannelzSecurityValue {
	if info, is := how.(credentials.ChannelzSecurityInfo); is {
		return info.GetSecurityValue()
	}
	return nil
}

// connInfoOf is the connection by which a call came; nil if it came by no crowdCredentials.
func connInfoOf(ctx context.Context) *connInfo {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	v, _ := p.AuthInfo.(*connInfo)
	return v
}

// know tells that whoever calls may do so. Health checks are for strangers as well, so
// they tell nothing.
func know(ctx context.Context) {
	if v := connInfoOf(ctx); v != nil {
		v.visitor.Know()
	}
}

// begin tells that a handler has begun with a call.
func begin(ctx context.Context, _ string) error {
	if v := connInfoOf(ctx); v != nil {
		v.visitor.Begun()
	}
	return nil
}

// disconnected tells whether the connection of a call is closed.
func disconnected(ctx context.Context) bool {
	v := connInfoOf(ctx)
	return v != nil && v.visitor.Gone()
}

// noteCalls tells a connection which calls it carries.
func noteCalls() interceptor {
	return interceptor{
		unary: func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			defer noteCall(ctx, info.FullMethod)()
			return handler(ctx, request)
		},
		stream: func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			defer noteCall(stream.Context(), info.FullMethod)()
			return handler(service, stream)
		},
	}
}

// noteCall returns what is to be called at the call's end.
func noteCall(ctx context.Context, fullMethod string) (end func()) {
	v := connInfoOf(ctx)
	if v == nil {
		return func() {}
	}
	call := conns.Call{
		Flow: isFlow(fullMethod), Listens: fullMethod == gatewayv1.HandlerService_Listen_FullMethodName,
		GoAway: grpcgo.GoAway(ctx, "draining"), Written: grpcgo.Written(ctx),
	}
	v.conn.Begin(call)
	return func() { v.conn.End(call) }
}

// noteCaller tells a connection who calls, once that is known.
func noteCaller(ctx context.Context, _ string) error {
	if v := connInfoOf(ctx); v != nil {
		v.conn.Who(peerInfo(ctx))
	}
	return nil
}

// tooOld is closed when the call's connection has become as old as it may; nil for never.
func tooOld(ctx context.Context) <-chan struct{} {
	if v := connInfoOf(ctx); v != nil {
		return v.conn.Old()
	}
	return nil
}
