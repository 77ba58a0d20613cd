package server

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

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
)

// errorDomain is the domain of every google.rpc.ErrorInfo.
const errorDomain = "gateway.zioflow"

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

// retryDelay is what a caller is told to wait who may try again.
const retryDelay = time.Second

func reasonOf(r flow.Reason) gatewayv1.EndReason { return gatewayv1.EndReason(r) }

// endError is the status of a flow's end; nil if it completed.
func endError(end *broker.EndError, id broker.FlowID) error {
	code := ends[end.Reason]
	if code == codes.OK {
		return nil
	}
	info := &errdetails.ErrorInfo{Domain: errorDomain, Reason: strings.ToUpper(end.Reason.String())}
	if id != 0 {
		info.Metadata = map[string]string{"flow_id": strconv.FormatUint(uint64(id), 10)}
	}
	details := []protoadapt.MessageV1{info}
	if end.Reason.Retry() {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)})
	}
	words := end.Reason.String()
	if end.Detail != "" {
		words += ": " + end.Detail
	}
	return withDetails(status.New(code, words), details...)
}

// fieldError is INVALID_ARGUMENT for a field of the request.
type fieldError struct {
	field, problem string
}

func badField(field, format string, args ...any) error {
	return &fieldError{field, text.Detail(fmt.Sprintf(format, args...))}
}

func (e *fieldError) Error() string { return e.field + ": " + e.problem }

// GRPCStatus lets grpc-go find the status.
func (e *fieldError) GRPCStatus() *status.Status {
	return status.Convert(withDetails(status.New(codes.InvalidArgument, e.Error()), &errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: e.field, Description: e.problem}},
	}))
}

func withDetails(s *status.Status, details ...protoadapt.MessageV1) error {
	if full, err := s.WithDetails(details...); err == nil {
		s = full
	}
	return s.Err()
}
