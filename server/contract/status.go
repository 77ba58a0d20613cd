package contract

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
)

// ErrorDomain is the domain of every google.rpc.ErrorInfo.
const ErrorDomain = "gateway.zioflow"

// ends is how each end reason is told in the contract. The enum's numbers are
// the reasons' own.
var ends = map[flow.Reason]codes.Code{
	flow.Completed:       codes.OK,
	flow.Rejected:        codes.FailedPrecondition,
	flow.NoHandler:       codes.Unavailable,
	flow.HandlerTimeout:  codes.DeadlineExceeded,
	flow.PeerGone:        codes.Aborted,
	flow.CreditViolation: codes.FailedPrecondition,
	flow.ProtocolError:   codes.InvalidArgument,
	flow.MessageTooLarge: codes.ResourceExhausted,
	flow.Overrun:         codes.ResourceExhausted,
	flow.IdleTimeout:     codes.DeadlineExceeded,
	flow.EOTTimeout:      codes.DeadlineExceeded,
	flow.EndedByAdmin:    codes.Aborted,
	flow.Restarted:       codes.Aborted,
	flow.Draining:        codes.Unavailable,
	flow.Overloaded:      codes.ResourceExhausted,
}

// shortDetail is how many bytes of a detail a status's message holds in any case, with
// each percent-encoded. A longer one is cut there, so that it stands in the ErrorInfo too.
const shortDetail = 600

// RetryDelay is what a caller is told to wait who may try again.
const RetryDelay = time.Second

// ReasonOf is a reason in the contract's words.
func ReasonOf(r flow.Reason) gatewayv1.EndReason { return gatewayv1.EndReason(r) }

// ToReason is the reason that the contract's word stands for; NotEnded for none, PeerGone
// for one that is not known here.
func ToReason(r gatewayv1.EndReason) flow.Reason {
	switch _, known := ends[flow.Reason(r)]; {
	case r == gatewayv1.EndReason_END_REASON_UNSPECIFIED:
		return flow.NotEnded
	case known && r >= 0 && r <= 255:
		return flow.Reason(r)
	}
	return flow.PeerGone
}

// EndStatus is the status of a flow's end; nil if it completed.
func EndStatus(end *flow.Error, id transport.FlowID) error {
	code := ends[end.Reason]
	if code == codes.OK {
		return nil
	}
	info := &errdetails.ErrorInfo{Domain: ErrorDomain, Reason: strings.ToUpper(end.Reason.String()), Metadata: map[string]string{}}
	if id != 0 {
		info.Metadata["flow_id"] = strconv.FormatUint(uint64(id), 10)
	}
	if len(end.Detail) > shortDetail {
		info.Metadata["detail"] = text.Detail(end.Detail)
	}
	details := []protoadapt.MessageV1{info}
	if end.Reason.Retry() {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(RetryDelay)})
	}
	words := end.Reason.String()
	if end.Detail != "" {
		words += ": " + end.Detail
	}
	return WithDetails(status.New(code, words), details...)
}

// FieldError is INVALID_ARGUMENT for a field of the request.
type FieldError struct {
	// Field is its path in the request, Problem what is wrong with it.
	Field, Problem string
}

// BadField is a FieldError whose problem is formatted as fmt.Sprintf does, and bounded.
func BadField(field, format string, args ...any) error {
	return &FieldError{field, text.Detail(fmt.Sprintf(format, args...))}
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// GRPCStatus lets grpc-go find the status.
func (e *FieldError) GRPCStatus() *status.Status {
	return status.Convert(WithDetails(status.New(codes.InvalidArgument, e.Error()), &errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: e.Field, Description: e.Problem}},
	}))
}

// WithDetails is the error of a status with those details, or without them where they
// cannot be encoded.
func WithDetails(s *status.Status, details ...protoadapt.MessageV1) error {
	if full, err := s.WithDetails(details...); err == nil {
		s = full
	}
	return s.Err()
}

// Stopping is the status of a call that ends because the server is stopped.
func Stopping() error { return Draining("the gateway is shutting down") }

// Draining is the status of a call that should be made again, there or elsewhere.
func Draining(detail string) error {
	return EndStatus(&flow.Error{Reason: flow.Draining, Detail: detail}, 0)
}
