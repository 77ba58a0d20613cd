package server

import (
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/grpcgo"
)

// registrar is where all calls come in. gRPC reads and decodes the message of a unary
// call before it asks an interceptor, and knows one limit for the messages of all
// methods; so services are registered here, and every method is served as a stream:
// nothing is read of a call before the interceptors have let it in. It implements
// reflection.GRPCServer.
type registrar struct {
	*grpc.Server
	chain    chain
	counters *counters
	allowed  *allowances
	stop     context.Context
	readers  *sync.WaitGroup
	stall    time.Duration // as Options.Stall
}

// RegisterService implements grpc.ServiceRegistrar.
func (d *registrar) RegisterService(service *grpc.ServiceDesc, impl any) {
	guarded := *service
	guarded.Methods, guarded.Streams = nil, nil
	for _, method := range service.Methods {
		guarded.Streams = append(guarded.Streams, grpc.StreamDesc{
			StreamName: method.MethodName,
			Handler:    d.unary(method, fullName(service, method.MethodName)),
		})
	}
	for _, stream := range service.Streams {
		handler := d.stream(stream, fullName(service, stream.StreamName))
		if service.ServiceName == gatewayv1.FlowService_ServiceDesc.ServiceName {
			handler = d.flow(stream, fullName(service, stream.StreamName))
		}
		stream.Handler = handler
		guarded.Streams = append(guarded.Streams, stream)
	}
	d.Server.RegisterService(&guarded, impl)
}

func fullName(service *grpc.ServiceDesc, method string) string {
	return "/" + service.ServiceName + "/" + method
}

// flow serves a method of FlowService, whose messages are its own business.
func (d *registrar) flow(desc grpc.StreamDesc, method string) grpc.StreamHandler {
	handler := desc.Handler
	if method == gatewayv1.FlowService_Get_FullMethodName {
		handler = serveGet
	}
	info := infoOf(desc, method)
	return func(impl any, stream grpc.ServerStream) error { return d.chain.stream(impl, stream, info, handler) }
}

func infoOf(desc grpc.StreamDesc, method string) *grpc.StreamServerInfo {
	return &grpc.StreamServerInfo{FullMethod: method, IsClientStream: desc.ClientStreams, IsServerStream: desc.ServerStreams}
}

// unary serves a method of any other service that has one request and one response. The
// interceptors are shown no request: it has not been read.
func (d *registrar) unary(desc grpc.MethodDesc, method string) grpc.StreamHandler {
	return func(impl any, stream grpc.ServerStream) error {
		info := &grpc.UnaryServerInfo{Server: impl, FullMethod: method}
		reply, err := d.chain.unary(stream.Context(), nil, info, func(ctx context.Context, _ any) (any, error) {
			b := &boundedStream{ServerStream: stream, ctx: ctx, stop: d.stop, readers: d.readers, single: true}
			return desc.Handler(impl, ctx, b.RecvMsg, d.chain.read)
		})
		if err != nil {
			return err
		}
		return stream.SendMsg(reply)
	}
}

// stream serves a method of any other service with streams. A caller that does not read
// what it is sent is given up.
func (d *registrar) stream(desc grpc.StreamDesc, method string) grpc.StreamHandler {
	info, allowed := infoOf(desc, method), d.allowed.of(method)
	return func(impl any, stream grpc.ServerStream) error {
		ctx, cancel := allowed.context(stream.Context(), d.stop)
		defer cancel()
		defer context.AfterFunc(d.stop, func() {
			time.AfterFunc(stopPatience, func() { _ = grpcgo.Abort(stream.Context()) }) // if it is still there
		})()
		b := &boundedStream{ServerStream: &abortingStream{stream, d.stall}, ctx: ctx, stop: d.stop, readers: d.readers, single: !desc.ClientStreams}
		err := d.chain.stream(impl, b, info, desc.Handler)
		if why := context.Cause(ctx); err != nil && why != nil && stream.Context().Err() == nil {
			return why
		}
		return err
	}
}

// unknown serves all methods that there are not.
func (d *registrar) unknown(_ any, stream grpc.ServerStream) error {
	d.counters.unknown.Inc()
	ctx := context.WithValue(stream.Context(), unknownKey{}, true)
	info := &grpc.StreamServerInfo{FullMethod: unknownMethod}
	return d.chain.stream(nil, &boundedStream{ServerStream: stream, ctx: ctx, stop: d.stop, readers: d.readers}, info,
		func(any, grpc.ServerStream) error { return errUnknown })
}

var errUnknown = status.Error(codes.Unimplemented, "there is no such method")

// tap sees calls before gRPC has begun them, and before it looks at their method. It is
// called on the connection's own goroutine, so does not wait.
func (d *registrar) tap(ctx context.Context, call *tap.Info) (context.Context, error) {
	v := connInfoOf(ctx)
	if v != nil && !v.visitor.Ask() {
		return nil, status.Error(codes.ResourceExhausted, "too many calls of somebody who is not known")
	}
	if service, method, found := strings.Cut(strings.TrimPrefix(call.FullMethodName, "/"), "/"); !found ||
		!strings.HasPrefix(call.FullMethodName, "/") || service == "" || method == "" {
		d.counters.unknown.Inc() // gRPC refuses it by itself, and shows it to nobody
		return nil, errUnknown
	}
	if v != nil && ctx.Err() == nil { // gRPC refuses a call that is too late already
		v.visitor.Called()
	}
	return ctx, nil
}

// abortingStream is a stream that is aborted if its peer does not read what it is sent.
type abortingStream struct {
	grpc.ServerStream
	timeout time.Duration
}

// SendMsg implements grpc.ServerStream.
func (i *abortingStream) SendMsg(m any) error {
	ctx := i.Context()
	timer := time.AfterFunc(i.timeout, func() { _ = grpcgo.Abort(ctx) })
	defer timer.Stop()
	return i.ServerStream.SendMsg(m)
}

// stopPatience is how long a stream may take, after the server was told to stop, to be
// sent how it ended.
const stopPatience = 500 * time.Millisecond
