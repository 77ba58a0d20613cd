package server

import (
	"context"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/server/grpcgo"
)

// disconnectGrace is how long what waits for a stream may take to go out after an
// operator has disconnected it, the EOT and the status that say so among it. A
// ZeroMQ connection has as long.
const disconnectGrace = 2 * time.Second

// Disconnect implements transport.Disconnector: the stream ends with the status of a flow
// that an operator has ended, once it has taken what waits for it. One that has not
// done so in time is aborted.
func (x *flowStream) Disconnect(detail string) {
	end := &flow.Error{Reason: flow.EndedByAdmin, Detail: detail}
	x.cutOff.Store(end)
	if x.flow() == nil { // otherwise the flow has ended with a reason
		x.Ended(end.Reason, end.Detail)
	}
	time.AfterFunc(disconnectGrace, func() {
		if x.stall.ctx.Err() == nil || x.waits() {
			_ = grpcgo.Abort(x.stall.ctx) // it is gRPC's, or a test fails
		}
	})
}

// Describe implements transport.Describer. What has come from the stream, the flow knows.
func (x *flowStream) Describe() transport.LinkInfo {
	info := transport.LinkInfo{
		Protocol: "HTTP/2", Mechanism: mechanismOf(x.stall.ctx), BytesOut: uint64(x.Progress.Left.Bytes.Load()),
	}
	info.QueuedMessages, info.QueuedBytes = x.Queued()
	return info
}

// mechanismOf is how the call's connection is secured, in the words of
// transport.LinkInfo.
func mechanismOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	how := p.AuthInfo
	if v := connInfoOf(ctx); v != nil {
		how = v.AuthInfo
	}
	switch _, encrypted := how.(credentials.TLSInfo); {
	case !encrypted:
		return "none"
	case clientCertificate(ctx) == nil:
		return "tls"
	default:
		return "mtls"
	}
}
