package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
)

// scriptPatience is how long a step waits for what must come.
const scriptPatience = 10 * time.Second

// scriptPeer is a peer that says what a script tells it to say, sense or not.
type scriptPeer interface {
	peer
	// raw sends parts that need not be a message.
	raw(parts [][]byte) error
	// shut closes the sending half.
	shut() error
	// quiet checks that nothing follows what was received. It may be called
	// when the peer has no flow; its latest one ended for one of the reasons.
	quiet(reasons []string) error
}

func dialScript(via transport, address string) (scriptPeer, error) {
	if via == viaGRPC {
		p, err := dialGRPC(address)
		return &grpcScriptPeer{grpcPeer: p}, err
	}
	kind := native.Client
	if via == viaDealer {
		kind = native.Dealer
	}
	p, err := dialNative(kind, address)
	return &nativeScriptPeer{p}, err
}

// nativeScriptPeer is a CLIENT or a DEALER.
type nativeScriptPeer struct{ *nativePeer }

func (p *nativeScriptPeer) recv() (*message, error) {
	m, err := p.Receive(scriptPatience)
	if err != nil {
		return nil, err
	}
	return newMessage(m)
}

func (p *nativeScriptPeer) raw(parts [][]byte) error { return p.SendRaw(parts...) }

func (p *nativeScriptPeer) shut() error { return errors.New("a native socket has no sending half") }

// quiet has the gateway refuse a BOT: whatever else the peer was sent would
// come before that answer.
func (p *nativeScriptPeer) quiet([]string) error {
	if err := p.send(flowMessage(`{"flow":"BOT","direction":"neither"}`)); err != nil {
		return err
	}
	m, err := p.recv()
	switch {
	case err != nil:
		return fmt.Errorf("waiting for the answer to a BOT without direction: %w", err)
	case m.Type != zio.EOT || !strings.Contains(m.end.Detail, "neither extract nor inject"):
		return fmt.Errorf("came %s seqno %d", m.Label, m.Seqno)
	}
	return nil
}

// grpcScriptPeer is a caller of Open. Its messages have the label in full and,
// but for PAY, no other field that a label could say.
type grpcScriptPeer struct {
	*grpcPeer
	said, got bool   // EOT, on this stream
	failure   string // the error in that
	end       string // why the stream has ended, once that was seen
}

func (p *grpcScriptPeer) send(m *zio.Message) error {
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
func (p *grpcScriptPeer) begin() (err error) {
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
	p.said, p.got, p.failure, p.end = false, false, "", ""
	p.stream, err = gatewayv1.NewFlowServiceClient(p.conn).Open(ctx)
	return err
}

func (p *grpcScriptPeer) recv() (*message, error) {
	if p.stream == nil {
		return nil, errors.New("the peer has not sent a BOT yet")
	}
	timer := time.AfterFunc(scriptPatience, p.cancel)
	defer timer.Stop()
	m, err := p.grpcPeer.recv()
	if err == nil && m.Type == zio.EOT {
		p.got, p.failure = true, m.end.Reason
	}
	return m, err
}

func (p *grpcScriptPeer) raw([][]byte) error { return errors.New("gRPC has no raw bytes") }

func (p *grpcScriptPeer) shut() error { return p.stream.CloseSend() }

// quiet checks that the stream ends, for the right reason.
func (p *grpcScriptPeer) quiet(reasons []string) error {
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

// ended waits for the stream's end and answers its reason.
func (p *grpcScriptPeer) ended() (reason string, err error) {
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
