package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/flowclient"
)

// Message is a message that a peer has received.
type Message struct {
	*zio.Message
	Type   zio.Type
	Credit int64
	// End is an EOT's error and detail.
	End flowclient.EndError
}

// NewMessage looks at a message that was received.
func NewMessage(m *zio.Message) (*Message, error) {
	head, err := zio.Peek(m.Label)
	if err != nil {
		return nil, fmt.Errorf("received label %q: %w", m.Label, err)
	}
	in := &Message{Message: m, Type: head.Type, Credit: head.Credit.Value}
	if in.Type == zio.EOT {
		label := struct{ Error, Detail *string }{&in.End.Reason, &in.End.Detail}
		err = json.Unmarshal(m.Label, &label)
	}
	return in, err
}

// ReadResponse makes a message of a response, and checks that its fields and its label
// agree.
func ReadResponse(response *gatewayv1.OpenResponse) (*Message, error) {
	switch m := response.GetMessage().(type) {
	case *gatewayv1.OpenResponse_Bot:
		return readBot(m.Bot)
	case *gatewayv1.OpenResponse_Pay:
		in, err := receive(m.Pay, zio.PAY)
		if err == nil && in.Credit != m.Pay.GetCredit() {
			err = fmt.Errorf("PAY has credit %d beside label %s", m.Pay.GetCredit(), in.Label)
		}
		return in, err
	case *gatewayv1.OpenResponse_Dat:
		return receive(m.Dat, zio.DAT)
	case *gatewayv1.OpenResponse_Eot:
		return readEot(m.Eot)
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

func messageOf(e envelope) *zio.Message {
	return &zio.Message{
		Level: byte(e.GetLevel()), Form: zio.FormFlow, Label: []byte(e.GetLabel()), Payload: e.GetPayload(),
		Coord: zio.Coord{Origin: e.GetOrigin(), Granule: e.GetGranule(), Seqno: e.GetSeqno()},
	}
}

func receive(e envelope, want zio.Type) (*Message, error) {
	in, err := NewMessage(messageOf(e))
	if err == nil && in.Type != want {
		err = fmt.Errorf("%v has label %s", want, in.Label)
	}
	return in, err
}

func readBot(b *gatewayv1.Bot) (*Message, error) {
	in, err := receive(b, zio.BOT)
	if err != nil {
		return nil, err
	}
	bot, err := zio.ParseBot(in.Label)
	if err == nil && (ToDirection(bot.Direction) != b.GetDirection() || bot.Credit.Value != b.GetCredit() ||
		uint64(bot.CID.Value) != b.GetCid() || b.GetFlowId() == 0) {
		err = fmt.Errorf("BOT has fields %v, credit %d, cid %d, flow %d beside label %s",
			b.GetDirection(), b.GetCredit(), b.GetCid(), b.GetFlowId(), in.Label)
	}
	return in, err
}

// ToDirection is a direction as the contract has it.
func ToDirection(d zio.Direction) gatewayv1.Direction {
	return map[zio.Direction]gatewayv1.Direction{
		zio.Extract: gatewayv1.Direction_DIRECTION_EXTRACT,
		zio.Inject:  gatewayv1.Direction_DIRECTION_INJECT,
	}[d]
}

// reasonOf is a reason as labels have it.
func reasonOf(r gatewayv1.EndReason) string {
	return strings.ToLower(strings.TrimPrefix(r.String(), "END_REASON_"))
}

// readEot checks an EOT's fields. One that the other side has sent has no error; whether it
// completes the flow stands only in the reason.
func readEot(e *gatewayv1.Eot) (*Message, error) {
	in, err := receive(e, zio.EOT)
	if err != nil {
		return nil, err
	}
	reason := reasonOf(e.GetReason())
	named := in.End.Reason != ""
	theirs := reason == "unspecified" || reason == "completed"
	if named == theirs || named && (reason != in.End.Reason || e.GetDetail() != in.End.Detail) {
		err = fmt.Errorf("EOT has reason %v, detail %q beside label %s", e.GetReason(), e.GetDetail(), in.Label)
	}
	return in, err
}

// grpcPeer is a caller of Open, with a stream for every flow. Its messages have the label
// in full and, but for PAY, no other field that a label could say.
type grpcPeer struct {
	conn      *grpc.ClientConn
	patience  time.Duration
	stream    grpc.BidiStreamingClient[gatewayv1.OpenRequest, gatewayv1.OpenResponse]
	cancel    context.CancelFunc
	said, got bool   // EOT, on this stream
	heard     bool   // anything, on this stream
	failure   string // the error in that
	end       string // why the stream has ended, once that was seen
}

func (p *grpcPeer) send(m *zio.Message) error {
	head, err := zio.Peek(m.Label)
	request := &gatewayv1.OpenRequest{}
	label, level := string(m.Label), uint32(m.Level)
	switch {
	case err == nil && head.Type == zio.BOT:
		if err := p.begin(); err != nil {
			return err
		}
		request.Message = &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{
			Label: label, Payload: m.Payload, Origin: m.Origin, Granule: m.Granule, Level: level,
		}}
	case err == nil && head.Type == zio.PAY:
		request.Message = &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{
			Label: label, Payload: m.Payload, Origin: m.Origin, Granule: m.Granule, Level: level, Credit: head.Credit.Value,
		}}
	case err == nil && head.Type == zio.EOT:
		p.said = true
		request.Message = &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{
			Label: label, Payload: m.Payload, Origin: m.Origin, Granule: m.Granule, Level: level,
		}}
	default:
		request.Message = &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{
			Label: label, Payload: m.Payload, Origin: m.Origin, Granule: m.Granule, Level: level,
		}}
	}
	if p.stream == nil {
		return errors.New("the peer has not sent a BOT yet")
	}
	if err := p.stream.Send(request); !errors.Is(err, io.EOF) {
		return err
	}
	return nil // the stream has ended, which receiving will tell
}

// begin begins a stream if there is none, or if its flow is over.
func (p *grpcPeer) begin() (err error) {
	if p.stream != nil {
		over := p.said && p.got || p.failure != "" || p.end != ""
		if !over {
			return nil
		}
		if _, err := p.ended(); err != nil {
			return err
		}
		p.cancel()
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	p.said, p.got, p.heard, p.failure, p.end = false, false, false, "", ""
	p.stream, err = gatewayv1.NewFlowServiceClient(p.conn).Open(ctx)
	return err
}

func (p *grpcPeer) recv() (*Message, error) {
	if p.stream == nil {
		return nil, errors.New("the peer has not sent a BOT yet")
	}
	timer := time.AfterFunc(p.patience, p.cancel)
	response, err := p.stream.Recv()
	if !timer.Stop() && err != nil {
		return nil, fmt.Errorf("%w within %v", errNone, p.patience)
	}
	var m *Message
	switch refused := RefusalOf(err); {
	case refused != nil && !p.heard:
		m, err = refused, nil
	case err == nil:
		m, err = ReadResponse(response)
	}
	if err != nil {
		return nil, err
	}
	p.heard = true
	if m.Type == zio.EOT {
		p.got, p.failure = true, m.End.Reason
	}
	return m, nil
}

// RefusalOf is the EOT that a native peer is sent instead, of a stream that has ended with
// this error before anything came; nil if that names no reason.
func RefusalOf(err error) *Message {
	s := status.Convert(err)
	for _, detail := range s.Details() {
		info, is := detail.(*errdetails.ErrorInfo)
		if !is {
			continue
		}
		reason := strings.ToLower(info.GetReason())
		words := strings.TrimPrefix(strings.TrimPrefix(s.Message(), reason), ": ")
		m, err := NewMessage(&zio.Message{Form: zio.FormFlow, Label: zio.ErrorLabel(reason, words)})
		if err == nil {
			return m
		}
	}
	return nil
}

func (p *grpcPeer) raw([][]byte) error { return errors.New("gRPC has no raw bytes") }

func (p *grpcPeer) shut() error {
	if p.stream == nil {
		return errors.New("the peer has not sent a BOT yet")
	}
	return p.stream.CloseSend()
}

// quiet checks that the stream ends, for the right reason.
func (p *grpcPeer) quiet(reasons []string) error {
	if p.stream == nil {
		return nil
	}
	if p.failure != "" {
		reasons = []string{p.failure}
	}
	reason, err := p.ended()
	if err == nil && !slices.Contains(reasons, reason) {
		err = fmt.Errorf("the stream ended with %q, want one of %q", reason, reasons)
	}
	return err
}

// ended waits for the stream's end and returns its reason.
func (p *grpcPeer) ended() (reason string, err error) {
	if p.end != "" {
		return p.end, nil
	}
	m, err := p.recv()
	if err == nil {
		return "", fmt.Errorf("came %s seqno %d", m.Label, m.Seqno)
	}
	switch {
	case errors.Is(err, io.EOF):
		p.end = "completed"
	case status.Code(err) == codes.ResourceExhausted: // gRPC's own limit names no reason
		p.end = "message_too_large"
	}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			p.end = strings.ToLower(info.GetReason())
		}
	}
	if p.end == "" {
		return "", fmt.Errorf("the stream has not ended with a reason: %w", err)
	}
	return p.end, nil
}

func (p *grpcPeer) leave() {
	p.cancel()
	_ = p.conn.Close()
}
