//go:build soak

package soak

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/conformance/play"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
)

// maxMessage is the largest payload that a gateway takes by default.
const maxMessage = 64 << 20

// connect opens a gRPC connection of the peer's own.
func connect(address string) (*grpc.ClientConn, error) {
	const most = maxMessage + 64<<10
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(most), grpc.MaxCallSendMsgSize(most)))
}

// grpcPeer is a peer that uses FlowService.Open, with a stream for every BOT.
type grpcPeer struct {
	conn   *grpc.ClientConn
	owned  bool // closes conn
	stream grpc.BidiStreamingClient[gatewayv1.OpenRequest, gatewayv1.OpenResponse]
	ctx    context.Context // the stream's
	cancel context.CancelFunc
	in     chan arrival
}

// arrival is what a stream's reader has received; after an error comes nothing.
type arrival struct {
	message *message
	err     error
}

func dialGRPC(address string) (*grpcPeer, error) {
	conn, err := connect(address)
	p := onConnection(conn)
	p.owned = true
	return p, err
}

// onConnection makes a peer that shares a connection.
func onConnection(conn *grpc.ClientConn) *grpcPeer {
	return &grpcPeer{conn: conn, cancel: func() {}}
}

func (p *grpcPeer) send(m *zio.Message) error {
	request, err := toRequest(m)
	if err != nil {
		return err
	}
	if request.GetBot() != nil {
		if err := p.begin(); err != nil {
			return err
		}
	}
	if err := p.stream.Send(request); !errors.Is(err, io.EOF) {
		return err
	}
	return nil // the stream has ended: recv says why
}

// begin opens a stream with a goroutine that reads it.
func (p *grpcPeer) begin() (err error) {
	p.cancel()
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if p.stream, err = gatewayv1.NewFlowServiceClient(p.conn).Open(p.ctx); err != nil {
		return err
	}
	p.in = make(chan arrival)
	go read(p.ctx, p.stream, p.in)
	return nil
}

func read(ctx context.Context, stream grpc.BidiStreamingClient[gatewayv1.OpenRequest, gatewayv1.OpenResponse], in chan<- arrival) {
	for first := true; ; first = false {
		var a arrival
		response, err := stream.Recv()
		switch refused := play.RefusalOf(err); {
		case refused != nil && first: // what a native peer is told by an EOT
			a.message, a.err = newMessage(refused.Message)
		case err != nil:
			a.err = err
		default:
			a.message, a.err = fromResponse(response)
		}
		select {
		case in <- a:
		case <-ctx.Done():
			return
		}
		if a.err != nil {
			return
		}
	}
}

func (p *grpcPeer) recv(wait time.Duration) (*message, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-p.in:
		return a.message, a.err
	case <-p.ctx.Done(): // closed
		return nil, p.ctx.Err()
	case <-timer.C:
		return nil, native.ErrTimeout
	}
}

func (p *grpcPeer) close() {
	if p.owned {
		_ = p.conn.Close()
	}
	p.cancel()
}

// leave gives gRPC, which does not tell, a moment to write what was sent.
func (p *grpcPeer) leave() {
	time.Sleep(20 * time.Millisecond)
	p.close()
}

// toRequest is a native message as gRPC has it: the label says everything.
func toRequest(m *zio.Message) (*gatewayv1.OpenRequest, error) {
	head, err := zio.Peek(m.Label)
	if err != nil {
		return nil, err
	}
	label, level := string(m.Label), uint32(m.Level)
	r := &gatewayv1.OpenRequest{}
	switch head.Type {
	case zio.BOT:
		r.Message = &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{Label: label, Payload: m.Payload, Level: level}}
	case zio.PAY:
		r.Message = &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Payload: m.Payload, Level: level, Credit: head.Credit.Value}}
	case zio.DAT:
		r.Message = &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Label: label, Payload: m.Payload, Level: level}}
	case zio.EOT:
		r.Message = &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{Label: label, Payload: m.Payload, Level: level}}
	}
	return r, nil
}

func fromResponse(r *gatewayv1.OpenResponse) (*message, error) {
	var e interface {
		GetLabel() string
		GetPayload() [][]byte
		GetSeqno() uint64
	}
	switch m := r.GetMessage().(type) {
	case *gatewayv1.OpenResponse_Bot:
		e = m.Bot
	case *gatewayv1.OpenResponse_Pay:
		e = m.Pay
	case *gatewayv1.OpenResponse_Dat:
		e = m.Dat
	case *gatewayv1.OpenResponse_Eot:
		e = m.Eot
	}
	return newMessage(&zio.Message{
		Form: zio.FormFlow, Label: []byte(e.GetLabel()), Payload: e.GetPayload(), Coord: zio.Coord{Seqno: e.GetSeqno()},
	})
}
