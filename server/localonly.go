package server

import (
	"context"
	"net"
	"slices"

	"google.golang.org/grpc/peer"

	"github.com/zioflow/gateway/access"
)

// localOnly lets only callers on this machine call what is for operators. It is for where
// callers are not authenticated.
type localOnly struct{ denials *access.DenialLog }

// check refuses a call from elsewhere.
func (h *localOnly) check(ctx context.Context, fullMethod string) error {
	if !slices.Equal(rolesFor(fullMethod), []access.Role{access.Admin}) || fromHere(ctx) {
		return nil
	}
	denial := &access.Denial{Cause: access.Remote, Detail: "not allowed: " + serviceOf(fullMethod) + " is for callers on the gateway's own machine, " +
		"since nobody is asked who he is; --identities names operators elsewhere, --insecure admin lets everybody be one"}
	h.denials.Deny(front, hostOf(ctx), denial)
	return permissionDenied(string(denial.Cause), denial.Detail)
}

// fromHere tells whether a call comes from this machine: over loopback, or by what is no
// network.
func fromHere(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	switch address := p.Addr.(type) {
	case *net.TCPAddr:
		return address.IP.IsLoopback()
	default:
		return address.Network() == "unix" || address.Network() == "bufconn"
	}
}
