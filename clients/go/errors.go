package zioflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Errors of this side. Compare with errors.Is.
var (
	// ErrTakerEnded: the taker said EOT before the giver did, so it may not have
	// taken all that was put.
	ErrTakerEnded = errors.New("zioflow: the taker has ended the flow early")
	// ErrClosed: the Giver, Taker or Gateway was closed before.
	ErrClosed = errors.New("zioflow: closed")
	// ErrAborted: the flow was aborted on this side.
	ErrAborted = errors.New("zioflow: the flow was aborted")
	// ErrInvalid: the message cannot be sent, and was not.
	ErrInvalid = errors.New("zioflow: invalid message")
	// ErrTooLarge: the message is larger than WithMaxMessage allows, and was not
	// sent.
	ErrTooLarge = errors.New("zioflow: message too large")
	// ErrOffer: the offer can't be accepted this way: it goes in the other
	// direction, or was accepted or declined before.
	ErrOffer = errors.New("zioflow: offer can't be accepted")
)

// FlowError is the end of a flow that did not complete, or of a listener, as the gateway
// tells it.
type FlowError struct {
	Reason Reason
	// Detail is the cause in words; may be empty.
	Detail string
	// FlowID is the id by which operators know the flow; 0 if it has none, having
	// been refused.
	FlowID uint64

	status   error // from gRPC; may be nil
	listener bool  // it is not a flow that has ended
}

func (e *FlowError) Error() string {
	text := "zioflow: flow ended: "
	switch {
	case e.listener:
		text = "zioflow: listener ended: "
	case e.FlowID != 0:
		text = fmt.Sprintf("zioflow: flow %d ended: ", e.FlowID)
	}
	text += e.Reason.String()
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap answers the gRPC status with which the call ended, if it has.
func (e *FlowError) Unwrap() error { return e.status }

// Retry tells whether the same flow, opened again, may fare better.
func (e *FlowError) Retry() bool { return e.Reason.Retry() }

// ReasonOf answers the reason in a [*FlowError] that err is or wraps, otherwise
// Unknown.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*FlowError](err); ok {
		return e.Reason
	}
	return Unknown
}

// endError is why a call ended: err is from gRPC's Recv, so io.EOF for OK; eot
// the EOT that was received before, if any; id the flow's, if known. It is nil
// if the flow completed.
func (g *Gateway) endError(ctx context.Context, err error, eot *gatewayv1.Eot, id uint64) error {
	if end := g.notLetIn(err); end != nil {
		return end
	}
	if end := flowError(err, eot, id); end != nil {
		return end
	}
	if end := g.tooLarge(err, id); end != nil {
		return end
	}
	switch code := status.Code(err); {
	case Reason(eot.GetReason()) == Completed, eot != nil && errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("zioflow: the stream ended before the flow: %w", io.ErrUnexpectedEOF)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case code == codes.DeadlineExceeded: // the gateway's clock was ahead of ctx's
		return fmt.Errorf("zioflow: %w: %w", context.DeadlineExceeded, err)
	default:
		return g.explained(err)
	}
}

// listenerError is why a listener ended: err is from gRPC's Recv.
func (g *Gateway) listenerError(ctx context.Context, err error) error {
	end := g.endError(ctx, err, nil, 0)
	if told, ok := end.(*FlowError); ok { //nolint:errorlint // it was just made
		told.listener = true
		return told
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("zioflow: the gateway ended the listener: %w", io.ErrUnexpectedEOF)
	}
	return end
}

// flowError reads the reason that the gateway gives, nil if it gives none.
func flowError(err error, eot *gatewayv1.Eot, id uint64) error {
	end := &FlowError{FlowID: id}
	if !errors.Is(err, io.EOF) {
		end.status = err
	}
	told := false
	if reason := Reason(eot.GetReason()); reason != Unknown && reason != Completed {
		end.Reason, end.Detail, told = reason, eot.GetDetail(), true
	}
	s := status.Convert(err)
	if info := infoOf(s); info != nil {
		told = true
		end.Reason = Reason(gatewayv1.EndReason_value[reasonPrefix+info.GetReason()])
		if n, bad := strconv.ParseUint(info.GetMetadata()["flow_id"], 10, 64); bad == nil {
			end.FlowID = n
		}
		if whole := info.GetMetadata()["detail"]; end.Detail == "" {
			end.Detail = whole
		}
		if text := strings.TrimPrefix(s.Message(), end.Reason.String()); end.Detail == "" {
			end.Detail = strings.TrimPrefix(text, ": ")
		}
	}
	if !told {
		return nil
	}
	return end
}

// infoOf answers the gateway's ErrorInfo in a status, or nil.
func infoOf(s *status.Status) *errdetails.ErrorInfo {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "gateway.zioflow" {
			return info
		}
	}
	return nil
}
