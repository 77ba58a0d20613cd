package admin

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestSilence: what another node has not replied to is told from what it has refused.
func TestSilence(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]string{
		codes.OK: "", codes.FailedPrecondition: "", codes.NotFound: "", codes.InvalidArgument: "",
		codes.DeadlineExceeded: "nothing has come within 2s", codes.Unavailable: "why", codes.Unimplemented: "why",
		codes.PermissionDenied: "an earlier version",
	} {
		got := silence(context.Background(), 2*time.Second, status.Error(code, "why"))
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", code, got, want)
		}
	}
}
