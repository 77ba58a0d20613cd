package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/server/contract"
	"github.com/zioflow/gateway/server/grpcgo"
)

// What a request to anything but FlowService may be. gRPC has one limit of its own for
// all methods, which has to be as large as a DAT.
const (
	maxRequest     = 64<<10 + 1<<10   // bytes: the longest text that the contract takes, and the rest
	requestTimeout = 10 * time.Second // for the first one to come, whole
)

// boundedStream is a stream that receives small messages alone, in time, and only as long as
// the server is not stopped. Its Context ends when it is to end.
type boundedStream struct {
	grpc.ServerStream
	ctx     context.Context
	stop    context.Context
	readers *sync.WaitGroup // the goroutines that read, which end with the stream
	single  bool            // one message comes, and then the end
	begun   bool            // a message has come; used by the goroutine that receives
}

// Context implements grpc.ServerStream.
func (b *boundedStream) Context() context.Context { return b.ctx }

// RecvMsg implements grpc.ServerStream.
func (b *boundedStream) RecvMsg(m any) error {
	source, ok := grpcgo.ReaderOf(b.ctx)
	if !ok {
		return status.Error(codes.Internal, "the stream cannot be read")
	}
	type result struct {
		data mem.BufferSlice
		err  error
	}
	read := make(chan result, 1)
	b.readers.Go(func() {
		data, err := readMessage(source, b.single)
		read <- result{data, err}
	})
	var late <-chan time.Time
	if !b.begun {
		timer := time.NewTimer(requestTimeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case r := <-read:
		if r.err != nil {
			return r.err
		}
		b.begun = true
		defer r.data.Free()
		if err := encoding.GetCodecV2(proto.Name).Unmarshal(r.data, m); err != nil {
			return status.Errorf(codes.Internal, "failed to unmarshal the received message: %v", err)
		}
		return nil
	case <-late:
		return status.Errorf(codes.DeadlineExceeded, "no whole message came within %v", requestTimeout)
	case <-b.stop.Done():
		return contract.Stopping()
	case <-b.ctx.Done():
		return status.FromContextError(b.ctx.Err()).Err()
	}
}

// readMessage reads a message, and the end after it if it is a single one. io.EOF says
// that there is none.
func readMessage(source grpcgo.Reader, single bool) (mem.BufferSlice, error) {
	var head [5]byte
	if err := source.ReadMessageHeader(head[:]); err != nil {
		return nil, readError(err, single)
	}
	size := binary.BigEndian.Uint32(head[1:])
	switch {
	case head[0] != 0:
		return nil, status.Error(codes.Internal, "the message is compressed, though its stream is not")
	case size > maxRequest:
		return nil, status.Errorf(codes.ResourceExhausted, "the request has %d bytes, and %d are allowed", size, maxRequest)
	}
	data, err := source.Read(int(size))
	if err != nil {
		return nil, readError(err, true)
	}
	if single {
		if err := source.ReadMessageHeader(head[:]); !errors.Is(err, io.EOF) {
			data.Free()
			if err == nil {
				err = status.Error(codes.Internal, "more than one message came")
			}
			return nil, readError(err, true)
		}
	}
	return data, nil
}

// readError is an error of a reader as a status; an end where a message was due is one.
func readError(err error, due bool) error {
	if errors.Is(err, io.EOF) && !due {
		return io.EOF
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return status.Error(codes.Internal, "the stream ended before its message")
	}
	if _, is := status.FromError(err); is {
		return err
	}
	return status.Error(codes.Unavailable, err.Error())
}
