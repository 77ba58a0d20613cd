//go:build soak

package soak

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec to fall back on
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
)

// bareStream is a peer with a stream that copies no payload and reads only when
// told to, so that fifty of them fit on a machine that runs the gateway as well.
type bareStream struct {
	conn   *grpc.ClientConn
	ctx    context.Context
	cancel context.CancelFunc
	stream grpc.ClientStream
	wanted chan struct{} // holds a token for every message to read
	asked  bool          // for one that has not come
	in     chan arrival
}

func dialBareStream(address string) (*bareStream, error) {
	conn, err := connect(address)
	if err != nil {
		return nil, err
	}
	p := &bareStream{conn: conn, wanted: make(chan struct{}, 1), in: make(chan arrival, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	desc := &gatewayv1.FlowService_ServiceDesc.Streams[0]
	p.stream, err = conn.NewStream(p.ctx, desc, gatewayv1.FlowService_Open_FullMethodName,
		grpc.ForceCodecV2(lendingCodec{encoding.GetCodecV2("proto")}))
	if err != nil {
		p.close()
		return nil, err
	}
	go p.read()
	return p, nil
}

func (p *bareStream) read() {
	for {
		select {
		case <-p.wanted:
		case <-p.ctx.Done():
			return
		}
		var a arrival
		response := new(gatewayv1.OpenResponse)
		if a.err = p.stream.RecvMsg(response); a.err == nil {
			a.message, a.err = fromResponse(response)
		}
		p.in <- a
		if a.err != nil {
			return
		}
	}
}

func (p *bareStream) send(m *zio.Message) error {
	request, err := toRequest(m)
	if err != nil {
		return err
	}
	if err := p.stream.SendMsg(request); !errors.Is(err, io.EOF) {
		return err
	}
	return nil // the stream has ended: recv says why
}

func (p *bareStream) recv(wait time.Duration) (*message, error) {
	if !p.asked {
		p.asked = true
		p.wanted <- struct{}{}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-p.in:
		p.asked = false
		return a.message, a.err
	case <-p.ctx.Done(): // closed
		return nil, p.ctx.Err()
	case <-timer.C:
		return nil, native.ErrTimeout
	}
}

func (p *bareStream) close() {
	_ = p.conn.Close()
	if p.cancel != nil {
		p.cancel()
	}
}

func (p *bareStream) leave() { p.close() }

// lendingCodec lends a DAT's single part to gRPC, which only reads it.
type lendingCodec struct{ encoding.CodecV2 }

func (c lendingCodec) Marshal(v any) (mem.BufferSlice, error) {
	request, ok := v.(*gatewayv1.OpenRequest)
	if !ok || len(request.GetDat().GetPayload()) != 1 {
		return c.CodecV2.Marshal(v)
	}
	const member, payload = 3, 2 // OpenRequest.dat, Dat.payload
	part := request.GetDat().GetPayload()[0]
	size := protowire.SizeTag(payload) + protowire.SizeBytes(len(part))
	head := protowire.AppendTag(nil, member, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(size))
	head = protowire.AppendTag(head, payload, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(part)))
	return mem.BufferSlice{mem.SliceBuffer(head), mem.SliceBuffer(part)}, nil
}
