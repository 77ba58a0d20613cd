// Package grpcgo is all that the gateway uses of grpc-go beyond its documented
// interface: how a stream is aborted, how a connection's peer is asked to go, how
// messages are read before they are decoded, and what it means when gRPC calls a buffer's
// methods. Every use says what to do when a version of grpc-go no longer has it; the
// tests fail with such a version. See docs/adr/0006-aborting-a-stream.md.
package grpcgo

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"unsafe" // also for go:linkname

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// Version is the version of grpc-go of which all this is known.
const Version = "1.85.0"

// closeStream is what gRPC itself does with a stream whose deadline has passed, on
// a timer's goroutine: it cancels the stream's context, which frees a SendMsg that
// waits, resets the stream and lets go of what was queued for it. The parameters'
// types are gRPC's own, of that Version.
//
//go:linkname closeStream google.golang.org/grpc/internal/transport.(*http2Server).closeStream
func closeStream(transport, stream unsafe.Pointer, reset bool, code http2.ErrCode, eosReceived bool)

// ErrNoStream says that Abort was given a context that is of no stream of gRPC's HTTP/2
// server.
var ErrNoStream = errors.New("the context is of no stream that can be aborted")

// Abort ends a call's stream whether its peer reads or not. To return from the
// handler would not: gRPC sends the status behind what is queued, for which a peer
// that does not read leaves no room. It may be called concurrently with all else, also
// after the handler has returned.
//
// Without closeStream, return ErrNoStream: nothing else has to change. Then a peer that
// reads nothing keeps its stream, and what is queued for it, until it resets the stream
// or its connection ends.
func Abort(ctx context.Context) error {
	transport, stream := pointers(ctx)
	if transport == nil {
		return ErrNoStream
	}
	closeStream(transport, stream, true, http2.ErrCodeCancel, false)
	return nil
}

// pointers are a call's http2Server and ServerStream; nil where it has none.
func pointers(ctx context.Context) (transport, stream unsafe.Pointer) {
	s := reflect.ValueOf(grpc.ServerTransportStreamFromContext(ctx))
	if !s.IsValid() || s.Type().String() != "*transport.ServerStream" {
		return nil, nil
	}
	t := s.Elem().FieldByName("st")
	if !t.IsValid() || t.Elem().Type().String() != "*transport.http2Server" {
		return nil, nil
	}
	return t.Elem().UnsafePointer(), s.UnsafePointer()
}

// drainTransport is what gRPC itself does with a connection that has become as old as it
// may, of that Version: it sends GOAWAY, with words for the peer to log, and goes on
// with the calls that have begun. It does not wait.
//
//go:linkname drainTransport google.golang.org/grpc/internal/transport.(*http2Server).Drain
func drainTransport(transport unsafe.Pointer, words string)

// GoAway returns what asks the peer of a call's connection to make its next calls by
// another one; those that have begun go on. That may be called at any time, also when
// the call has ended, and concurrently with all else. It is nil where the context is of
// no stream of gRPC's HTTP/2 server.
//
// Without drainTransport, return nil: then a peer stays with a gateway that is draining
// until its connection has been idle for a while.
func GoAway(ctx context.Context, words string) func() {
	transport, _ := pointers(ctx)
	if transport == nil {
		return nil
	}
	return func() { drainTransport(transport, words) }
}

// Written returns what is closed when gRPC has written all that it is going to write to a
// call's connection, and told its peer to go: http2Server.loopyWriterDone. From then on it
// waits up to a second for the peer to close the connection, which not every client does that
// still holds a call that has ended. It is nil where the context is of no stream of gRPC's
// HTTP/2 server.
//
// Without that field, return nil: then a stop takes that second.
func Written(ctx context.Context) <-chan struct{} {
	s := reflect.ValueOf(grpc.ServerTransportStreamFromContext(ctx))
	if transport, _ := pointers(ctx); transport == nil {
		return nil
	}
	done := s.Elem().FieldByName("st").Elem().Elem().FieldByName("loopyWriterDone")
	if !done.IsValid() || done.Type() != reflect.TypeFor[chan struct{}]() {
		return nil
	}
	return *(*chan struct{})(unsafe.Pointer(done.UnsafeAddr()))
}

// Reader is a stream as gRPC's own parser reads it: a message is a head of five bytes,
// and as many as it says. gRPC's transport.ServerStream implements it.
type Reader interface {
	ReadMessageHeader([]byte) error
	Read(int) (mem.BufferSlice, error)
}

// ReaderOf returns the reader of a call's stream; false where gRPC's stream is none.
//
// Without it, receive by RecvMsg: then only grpc.MaxRecvMsgSize bounds a request to
// AdminService, and a caller may take as long as it likes to send one.
func ReaderOf(ctx context.Context) (Reader, bool) {
	r, ok := grpc.ServerTransportStreamFromContext(ctx).(Reader)
	return r, ok
}

// Compression returns the encoding of the messages that a call's peer sends, empty for
// none; false where gRPC's stream does not tell.
//
// Without it, compressed messages are refused one by one: by Codec of FlowService's, as
// none is registered, and by the receiver of all others.
func Compression(ctx context.Context) (string, bool) {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ RecvCompress() string })
	if !ok {
		return "", false
	}
	return stream.RecvCompress(), true
}

// What follows takes the calls of a buffer's methods for what becomes of a message: gRPC
// calls ReadOnlyData for each frame that it writes of a buffer, when the peer's windows
// have room for that frame, and Free when all of the buffer is written or dropped, in
// the order of the buffers.
//
// Where that holds no longer, have Watcher told of both when SendMsg returns, and count
// a step then: what is queued in gRPC counts as taken, so a peer that does not read is
// noticed only when gRPC has no room for another message.

// Watcher is told what becomes of a message.
type Watcher interface {
	// Written is called once, by the goroutine that writes to the connection, when the
	// last buffer begins to be written.
	Written()
	// Freed is called once when nobody holds the last buffer any more, and so none of
	// the message's. It may be called by any goroutine.
	Freed()
}

// Last is the last buffer of a message that is given to gRPC. It implements mem.Buffer.
type Last struct {
	mem.SliceBuffer
	refs    atomic.Int32
	begun   bool // gRPC has asked for it; used by the goroutine that writes alone
	steps   *atomic.Int64
	watcher Watcher
}

// Fill makes l the last buffer of a new message. Nobody may hold l.
func (l *Last) Fill(b []byte, steps *atomic.Int64, w Watcher) {
	l.SliceBuffer, l.steps, l.watcher, l.begun = b, steps, w, false
	l.refs.Store(1)
}

// ReadOnlyData implements mem.Buffer.
func (l *Last) ReadOnlyData() []byte {
	if !l.begun {
		l.begun = true
		l.watcher.Written()
	}
	l.steps.Add(1)
	return l.SliceBuffer
}

// Ref implements mem.Buffer.
func (l *Last) Ref() { l.refs.Add(1) }

// Free implements mem.Buffer.
func (l *Last) Free() {
	if l.refs.Add(-1) == 0 {
		l.watcher.Freed()
	}
}

// Piece is another buffer of a message. It does not count its holders: its memory is
// the message's, which Last keeps. It implements mem.Buffer.
type Piece struct {
	mem.SliceBuffer
	Steps *atomic.Int64 // counts how often some of it was written
}

// ReadOnlyData implements mem.Buffer.
func (p *Piece) ReadOnlyData() []byte {
	p.Steps.Add(1)
	return p.SliceBuffer
}

// Stepping is a buffer of gRPC's own that counts its steps as Piece does. It implements
// mem.Buffer.
type Stepping struct {
	mem.Buffer
	Steps *atomic.Int64
}

// ReadOnlyData implements mem.Buffer.
func (s *Stepping) ReadOnlyData() []byte {
	s.Steps.Add(1)
	return s.Buffer.ReadOnlyData()
}
