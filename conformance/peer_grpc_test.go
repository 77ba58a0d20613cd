package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/conformance/play"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// grpcPeer is a peer that uses FlowService.Open, with a stream for every flow.
type grpcPeer struct {
	conn   *grpc.ClientConn
	stream grpc.BidiStreamingClient[gatewayv1.OpenRequest, gatewayv1.OpenResponse]
	cancel context.CancelFunc
	heard  bool // anything, on this stream
	// reason is what the last EOT says, or the status in its place.
	reason gatewayv1.EndReason
}

func dialGRPC(address string) (*grpcPeer, error) {
	conn, err := connect(address)
	return &grpcPeer{conn: conn, cancel: func() {}}, err
}

func (p *grpcPeer) send(m *zio.Message) error {
	head, err := zio.Peek(m.Label)
	if err != nil {
		return err
	}
	label, level := string(m.Label), uint32(m.Level)
	request := &gatewayv1.OpenRequest{}
	switch head.Type {
	case zio.BOT:
		return p.open(m)
	case zio.PAY: // the label is the gateway's to write
		request.Message = &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{
			Payload: m.Payload, Origin: m.Origin, Granule: m.Granule, Level: level, Credit: head.Credit.Value,
		}}
	case zio.DAT:
		request.Message = &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{
			Label: label, Payload: m.Payload, Origin: m.Origin, Granule: m.Granule, Level: level,
		}}
	case zio.EOT:
		request.Message = &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{
			Label: label, Payload: m.Payload, Origin: m.Origin, Granule: m.Granule, Level: level,
		}}
	}
	return p.stream.Send(request)
}

// open begins a stream. Direction, credit and cid go as the fields that they
// are, everything else in the label.
func (p *grpcPeer) open(m *zio.Message) (err error) {
	p.cancel()
	p.heard = false
	bot, err := zio.ParseBot(m.Label)
	if err != nil {
		return err
	}
	label, err := zio.Edit(m.Label, zio.Member{Key: "direction"}, zio.Member{Key: "credit"}, zio.Member{Key: "cid"})
	if err != nil {
		return err
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	if p.stream, err = gatewayv1.NewFlowServiceClient(p.conn).Open(ctx); err != nil {
		return err
	}
	return p.stream.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{
		Label: string(label), Payload: m.Payload, Origin: m.Origin, Granule: m.Granule, Level: uint32(m.Level),
		Direction: play.ToDirection(bot.Direction), Credit: bot.Credit.Value, Cid: uint64(bot.CID.Value),
	}}})
}

func (p *grpcPeer) recv() (*message, error) {
	timer := time.AfterFunc(patience, p.cancel)
	defer timer.Stop()
	response, err := p.stream.Recv()
	if refused := play.RefusalOf(err); refused != nil && !p.heard {
		p.heard = true
		p.reason = gatewayv1.EndReason(gatewayv1.EndReason_value["END_REASON_"+strings.ToUpper(refused.End.Reason)])
		return refused, nil
	}
	if err != nil {
		return nil, err
	}
	p.heard = true
	if eot := response.GetEot(); eot != nil {
		p.reason = eot.GetReason()
	}
	return play.ReadResponse(response)
}

func (p *grpcPeer) finish(completed bool) error {
	if err := p.stream.CloseSend(); err != nil {
		return err
	}
	m, err := p.recv()
	switch {
	case err == nil:
		return fmt.Errorf("after the last message came %s", m.Label)
	case errors.Is(err, io.EOF) != completed:
		return fmt.Errorf("stream ended with %w, flow completed: %t", err, completed)
	}
	return nil
}

func (p *grpcPeer) leave() {
	p.cancel()
	_ = p.conn.Close()
}
