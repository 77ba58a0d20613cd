package server

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/zioflow/gateway/internal/crowd"
)

// usher has connections enter the crowd before they are encrypted, and knows later
// which of them a call came by.
type usher struct {
	credentials.TransportCredentials
	crowd *crowd.Crowd
}

// ServerHandshake implements credentials.TransportCredentials.
func (u *usher) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	visitor := u.crowd.Enter(conn)
	served, info, err := u.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		visitor.Leave()
		return nil, nil, err
	}
	return visitor.Conn(served), &visit{info, visitor}, nil
}

// Clone implements credentials.TransportCredentials.
func (u *usher) Clone() credentials.TransportCredentials {
	return &usher{u.TransportCredentials.Clone(), u.crowd}
}

// visit is what is known of a connection: how it is secured, and whose it is.
type visit struct {
	credentials.AuthInfo
	visitor *crowd.Visitor
}

// GetSecurityValue implements credentials.ChannelzSecurityInfo.
func (v *visit) GetSecurityValue() credentials.ChannelzSecurityValue {
	if info, is := v.AuthInfo.(credentials.ChannelzSecurityInfo); is {
		return info.GetSecurityValue()
	}
	return nil
}

// visitOf is the connection by which a call came; nil if no usher has seen it.
func visitOf(ctx context.Context) *visit {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	v, _ := p.AuthInfo.(*visit)
	return v
}

// know tells that whoever calls may do so. Health checks are for strangers as well, so
// they tell nothing.
func know(ctx context.Context) {
	if v := visitOf(ctx); v != nil {
		v.visitor.Know()
	}
}

// begin tells that a handler has begun with a call.
func begin(ctx context.Context, _ string) error {
	if v := visitOf(ctx); v != nil {
		v.visitor.Begun()
	}
	return nil
}

// disconnected tells whether the connection of a call is closed.
func disconnected(ctx context.Context) bool {
	v := visitOf(ctx)
	return v != nil && v.visitor.Gone()
}
