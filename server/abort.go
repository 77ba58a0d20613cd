package server

import (
	"context"
	"errors"
	"reflect"
	"unsafe" // also for go:linkname

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
)

// closeStream is what gRPC itself does with a stream whose deadline has passed, on
// a timer's goroutine: it cancels the stream's context, which frees a SendMsg that
// waits, resets the stream and lets go of what was queued for it. The parameters'
// types are gRPC's own, of the version that TestAbortKnowsItsGRPC names.
//
//go:linkname closeStream google.golang.org/grpc/internal/transport.(*http2Server).closeStream
func closeStream(transport, stream unsafe.Pointer, reset bool, code http2.ErrCode, eosReceived bool)

var errNoStream = errors.New("the context is of no stream that can be aborted")

// abort ends a call's stream whether its peer reads or not. To return from the
// handler would not: gRPC sends the status behind what is queued, for which a peer
// that does not read leaves no room. See docs/adr/0006-aborting-a-stream.md. It may
// be called concurrently with all else, also after the handler has returned.
func abort(ctx context.Context) error {
	stream := reflect.ValueOf(grpc.ServerTransportStreamFromContext(ctx))
	if !stream.IsValid() || stream.Type().String() != "*transport.ServerStream" {
		return errNoStream
	}
	transport := stream.Elem().FieldByName("st")
	if !transport.IsValid() || transport.Elem().Type().String() != "*transport.http2Server" {
		return errNoStream
	}
	closeStream(transport.Elem().UnsafePointer(), stream.UnsafePointer(), true, http2.ErrCodeCancel, false)
	return nil
}
