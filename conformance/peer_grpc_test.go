package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// grpcPeer is a peer that uses FlowService.Open, with a stream for every flow.
type grpcPeer struct {
	conn   *grpc.ClientConn
	stream grpc.BidiStreamingClient[gatewayv1.OpenRequest, gatewayv1.OpenResponse]
	cancel context.CancelFunc
	// reason is what the last EOT says.
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
		Direction: toDirection(bot.Direction), Credit: bot.Credit.Value, Cid: uint64(bot.CID.Value),
	}}})
}

func toDirection(d zio.Direction) gatewayv1.Direction {
	return map[zio.Direction]gatewayv1.Direction{
		zio.Extract: gatewayv1.Direction_DIRECTION_EXTRACT,
		zio.Inject:  gatewayv1.Direction_DIRECTION_INJECT,
	}[d]
}

func (p *grpcPeer) recv() (*message, error) {
	timer := time.AfterFunc(patience, p.cancel)
	defer timer.Stop()
	response, err := p.stream.Recv()
	if err != nil {
		return nil, err
	}
	switch m := response.GetMessage().(type) {
	case *gatewayv1.OpenResponse_Bot:
		return receivedBot(m.Bot)
	case *gatewayv1.OpenResponse_Pay:
		in, err := received(m.Pay, zio.PAY)
		if err == nil && in.Credit != m.Pay.GetCredit() {
			err = fmt.Errorf("PAY has credit %d beside label %s", m.Pay.GetCredit(), in.Label)
		}
		return in, err
	case *gatewayv1.OpenResponse_Dat:
		return received(m.Dat, zio.DAT)
	case *gatewayv1.OpenResponse_Eot:
		p.reason = m.Eot.GetReason()
		return receivedEot(m.Eot)
	default:
		return nil, errors.New("received an OpenResponse without message")
	}
}

// envelope is what all four messages have.
type envelope interface {
	GetLabel() string
	GetPayload() [][]byte
	GetOrigin() uint64
	GetGranule() uint64
	GetSeqno() uint64
	GetLevel() uint32
}

func received(e envelope, want zio.Type) (*message, error) {
	in, err := newMessage(&zio.Message{
		Level: byte(e.GetLevel()), Form: zio.FormFlow, Label: []byte(e.GetLabel()), Payload: e.GetPayload(),
		Coord: zio.Coord{Origin: e.GetOrigin(), Granule: e.GetGranule(), Seqno: e.GetSeqno()},
	})
	if err == nil && in.Type != want {
		err = fmt.Errorf("%v has label %s", want, in.Label)
	}
	return in, err
}

// receivedBot checks that fields and label agree.
func receivedBot(b *gatewayv1.Bot) (*message, error) {
	in, err := received(b, zio.BOT)
	if err != nil {
		return nil, err
	}
	bot, err := zio.ParseBot(in.Label)
	if err == nil && (toDirection(bot.Direction) != b.GetDirection() || bot.Credit.Value != b.GetCredit() ||
		uint64(bot.CID.Value) != b.GetCid() || b.GetFlowId() == 0) {
		err = fmt.Errorf("BOT has fields %v, credit %d, cid %d, flow %d beside label %s",
			b.GetDirection(), b.GetCredit(), b.GetCid(), b.GetFlowId(), in.Label)
	}
	return in, err
}

// receivedEot checks that reason and label agree. One that the other side has
// sent has no error; whether it completes the flow stands only in the reason.
func receivedEot(e *gatewayv1.Eot) (*message, error) {
	in, err := received(e, zio.EOT)
	if err != nil {
		return nil, err
	}
	reason := strings.ToLower(strings.TrimPrefix(e.GetReason().String(), "END_REASON_"))
	named := in.end.Reason != ""
	own := reason == "unspecified" || reason == "completed"
	if named == own || named && (reason != in.end.Reason || e.GetDetail() != in.end.Detail) {
		err = fmt.Errorf("EOT has reason %v, detail %q beside label %s", e.GetReason(), e.GetDetail(), in.Label)
	}
	return in, err
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
