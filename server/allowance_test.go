package server

import (
	"testing"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestWatchesAreBoundedAlike: whatever is watched, watchers have an age and a number of
// their own.
func TestWatchesAreBoundedAlike(t *testing.T) {
	t.Parallel()
	all := newAllowances(1)
	for _, stream := range gatewayv1.AdminService_ServiceDesc.Streams {
		method := fullName(&gatewayv1.AdminService_ServiceDesc, stream.StreamName)
		if a := all.of(method); a != all.watches || a.age == 0 {
			t.Errorf("%s may be called %d times at once, and become %v old", method, a.most, a.age)
		}
	}
}
