package server

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/broker/flow"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// TestStatusesAreBounded: whatever the words are, a status with its details fits
// into the headers that a client takes by default, and is still the same status.
func TestStatusesAreBounded(t *testing.T) {
	for _, unit := range []string{"x", "%", "ä", "\x00", "\xff", "😀", " "} {
		long := strings.Repeat(unit, 1<<20/len(unit))
		many := &errdetails.BadRequest{}
		for range 1000 {
			many.FieldViolations = append(many.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: "field", Description: "wrong"})
		}
		for name, err := range map[string]error{
			"an end":        contract.EndStatus(&flow.Error{Reason: flow.Rejected, Detail: long}, 7),
			"a field":       contract.BadField("match", "%s", long),
			"a rule":        validate(&gatewayv1.ListenRequest{Name: long, Match: long}),
			"many fields":   contract.WithDetails(status.New(codes.InvalidArgument, long), denialInfo("cause"), many),
			"a plain error": errors.New(long),
			"a wrapped one": fmt.Errorf("%s: %w", long, status.Error(codes.NotFound, long)),
		} {
			bound := boundStatus(err)
			if status.Code(bound) != status.Code(err) {
				t.Errorf("%s: the code is %v, want %v", name, status.Code(bound), status.Code(err))
			}
			if n := headerSize(t, bound); n > 7<<10 {
				t.Errorf("%s of %q takes %d bytes", name, unit, n)
			}
			if before, after := len(status.Convert(err).Details()), len(status.Convert(bound).Details()); before > 0 && after == 0 {
				t.Errorf("%s of %q has no details any more", name, unit)
			}
		}
	}
	for _, err := range []error{nil, context.Canceled, errBroken, contract.BadField("name", "is wrong"), fmt.Errorf("a: %w", errBroken)} {
		if got := boundStatus(err); !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// headerSize is what a status takes in HTTP/2's count of headers.
func headerSize(t *testing.T, err error) int {
	t.Helper()
	s := status.Convert(err)
	if !utf8.ValidString(s.Message()) {
		t.Errorf("the message is no UTF-8: %q", s.Message())
	}
	encoded := 0
	for _, b := range []byte(s.Message()) {
		if encoded++; b < ' ' || b > '~' || b == '%' {
			encoded += 2
		}
	}
	details, failed := proto.Marshal(s.Proto())
	if failed != nil {
		t.Fatal(failed)
	}
	const names = len("grpc-message") + len("grpc-status") + len("grpc-status-details-bin") + 3*32
	return encoded + base64.RawStdEncoding.EncodedLen(len(details)) + names
}
