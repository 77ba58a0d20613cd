package contract

import (
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func TestEveryReasonHasAStatus(t *testing.T) {
	for _, reason := range flow.Reasons() {
		code, ok := ends[reason]
		if !ok {
			t.Errorf("%v has no status", reason)
		}
		want := "END_REASON_" + strings.ToUpper(reason.String())
		if got := ReasonOf(reason).String(); got != want {
			t.Errorf("%v is %s in the contract, want %s", reason, got, want)
		}
		err := EndStatus(&flow.Error{Reason: reason, Detail: "why"}, 7)
		if status.Code(err) != code {
			t.Errorf("%v: code %v, want %v", reason, status.Code(err), code)
		}
		if reason == flow.Completed {
			continue
		}
		requireInfo(t, err, reason)
	}
	if got, want := len(gatewayv1.EndReason_name), len(flow.Reasons())+1; got != want {
		t.Errorf("the contract has %d reasons, want %d", got, want)
	}
}

// requireInfo wants an ErrorInfo with the reason, and RetryInfo if it may pass.
func requireInfo(t *testing.T, err error, reason flow.Reason) {
	t.Helper()
	var info *errdetails.ErrorInfo
	var retry *errdetails.RetryInfo
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	if info.GetDomain() != "gateway.zioflow" || info.GetReason() != strings.ToUpper(reason.String()) || info.GetMetadata()["flow_id"] != "7" {
		t.Errorf("%v: ErrorInfo %v", reason, info)
	}
	if (retry != nil) != reason.Retry() {
		t.Errorf("%v: RetryInfo %v, may be retried: %v", reason, retry, reason.Retry())
	}
}

func TestFieldErrorNamesTheField(t *testing.T) {
	err := BadField("credit", "is %d, want 0 or more", -1)
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "credit: is -1") {
		t.Errorf("%v", err)
	}
	details := status.Convert(err).Details()
	if len(details) != 1 || details[0].(*errdetails.BadRequest).GetFieldViolations()[0].GetField() != "credit" {
		t.Errorf("details %v", details)
	}
}
