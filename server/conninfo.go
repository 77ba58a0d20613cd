package server

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/zioflow/gateway/internal/crowd"
)

// crowdCredentials has connections enter the crowd before they are encrypted, and knows later
// which of them a call came by.
type crowdCredentials struct {
	credentials.TransportCredentials
	crowd *crowd.Crowd
}

// ServerHandshake implements credentials.TransportCredentials.
func (u *crowdCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	visitor := u.crowd.Enter(conn)
	served, info, err := u.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		visitor.Leave()
		return nil, nil, err
	}
	return visitor.Conn(served), &connInfo{info, visitor}, nil
}

// Clone implements credentials.TransportCredentials.
func (u *crowdCredentials) Clone() credentials.TransportCredentials {
	return &crowdCredentials{u.TransportCredentials.Clone(), u.crowd}
}

// connInfo is what is known of a connection: how it is secured, and whose it is.
type connInfo struct {
	credentials.AuthInfo
	visitor *crowd.Visitor
}

// GetSecurityValue implements credentials.ChannelzSecurityInfo.
func (v *connInfo) GetSecurityValue() credentials.ChannelzSecurityValue {
	if info, is := v.AuthInfo.(credentials.ChannelzSecurityInfo); is {
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
