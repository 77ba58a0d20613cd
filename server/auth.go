package server

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/selector"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/contract"
)

// front is what denials call this one.
const front = "grpc"

// gatekeeper lets calls in: it finds out who the caller is and whether that one
// may call the method.
type gatekeeper struct {
	policy           *access.Policy
	publicReflection bool
}

// interceptor asks the gatekeeper for each call that is not open to everybody.
func (g *gatekeeper) interceptor() interceptor {
	closed := selector.MatchFunc(func(_ context.Context, call interceptors.CallMeta) bool {
		return !isOpen(call.FullMethod(), g.publicReflection)
	})
	return interceptor{
		unary:  selector.UnaryServerInterceptor(auth.UnaryServerInterceptor(g.admit), closed),
		stream: selector.StreamServerInterceptor(auth.StreamServerInterceptor(g.admit), closed),
	}
}

// admit returns a context that knows the caller, or the status to refuse with.
func (g *gatekeeper) admit(ctx context.Context) (context.Context, error) {
	address := hostOf(ctx)
	principal, err := g.identify(ctx)
	if err != nil {
		denial, ok := errors.AsType[*access.Denial](err)
		if !ok {
			return nil, status.FromContextError(err).Err()
		}
		g.policy.Deny(front, address, denial)
		return nil, refused(denial)
	}
	c := &caller{gatekeeper: g, principal: principal, address: address}
	method, _ := grpc.Method(ctx)       // the server has set it
	if ctx.Value(unknownKey{}) == nil { // an unknown method needs no role
		if err := c.need(rolesFor(method)...); err != nil {
			return nil, err
		}
	}
	return context.WithValue(ctx, callerKey{}, c), nil
}

// refused is the status for who is not let in. Where the issuer of a JWT cannot be asked it is
// none of the caller's doing, who may try again; why it cannot be is for the log.
func refused(denial *access.Denial) error {
	info := denialInfo(string(denial.Cause))
	if denial.Cause != access.NoKeys {
		return contract.WithDetails(status.New(codes.Unauthenticated, denial.Detail), info)
	}
	return contract.WithDetails(status.New(codes.Unavailable, "the JWT can't be verified just now: the gateway has not got its issuer's keys"),
		info, &errdetails.RetryInfo{RetryDelay: durationpb.New(contract.RetryDelay)})
}

// welcome takes note of a connection whose caller was let in: by the gatekeeper or,
// where there is none, because callers are not authenticated. What strangers may call says nothing.
func (g *gatekeeper) welcome(ctx context.Context, fullMethod string) error {
	if fullMethod != unknownMethod && !isOpen(fullMethod, g == nil || g.publicReflection) {
		know(ctx)
	}
	return nil
}

// identify finds out who calls: by the bearer token if there is one, otherwise
// by the client certificate.
func (g *gatekeeper) identify(ctx context.Context) (*access.Principal, error) {
	if values := metadata.ValueFromIncomingContext(ctx, "authorization"); len(values) > 0 {
		scheme, token, _ := strings.Cut(values[0], " ")
		if !strings.EqualFold(scheme, "bearer") || len(values) > 1 {
			return nil, &access.Denial{Cause: access.NoCredentials, Detail: "the authorization is not one bearer token"}
		}
		return g.policy.Token(ctx, token)
	}
	if certificate := clientCertificate(ctx); certificate != nil {
		return g.policy.Certificate(certificate)
	}
	return nil, &access.Denial{Cause: access.NoCredentials, Detail: "there is neither a bearer token nor a client certificate"}
}

// clientCertificate is the one that was verified when the connection was made;
// nil if there is none.
func clientCertificate(ctx context.Context) *x509.Certificate {
	v := connInfoOf(ctx)
	if v == nil {
		return nil
	}
	info, ok := v.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil
	}
	return info.State.VerifiedChains[0][0]
}

// hostOf is where the caller is, without what is another one for every connection: a port,
// or which process has connected to a socket of this machine, which is "unix".
func hostOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	return crowd.Host(p.Addr)
}

// caller is who makes a call.
type caller struct {
	gatekeeper *gatekeeper
	principal  *access.Principal
	address    string
}

type callerKey struct{}

// callerOf is who makes the call; nil where callers are not authenticated.
func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

// grant is what the broker should let the caller do; nil for everything.
func grant(ctx context.Context) rights.Grant {
	if c := callerOf(ctx); c != nil {
		return c.principal
	}
	return nil
}

// need returns the status to refuse with unless the caller has one of the roles.
func (c *caller) need(roles ...access.Role) error {
	denial := c.principal.Need(roles...)
	if denial == nil {
		return nil
	}
	c.gatekeeper.policy.Deny(front, c.address, denial)
	return permissionDenied(string(denial.Cause), denial.Detail)
}

// needForBot is need for a BOT: with a cid it is a handler's. What is wrong with
// the label is the broker's to say.
func (c *caller) needForBot(label []byte) error {
	bot, err := zio.ParseBot(label)
	switch {
	case c == nil || err != nil:
		return nil
	case bot.CID.Form == zio.Absent:
		return c.need(access.Role(flow.Client.String()))
	default:
		return c.need(access.Role(flow.Handler.String()))
	}
}

func permissionDenied(cause, detail string) error {
	return contract.WithDetails(status.New(codes.PermissionDenied, detail), denialInfo(cause))
}

func denialInfo(cause string) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Domain: contract.ErrorDomain, Reason: strings.ToUpper(cause)}
}

func peerInfo(ctx context.Context) transport.PeerInfo {
	info := transport.PeerInfo{Transport: "grpc"}
	if p, ok := peer.FromContext(ctx); ok {
		info.Address = p.Addr.String()
	}
	if c := callerOf(ctx); c != nil {
		info.Name = c.principal.Name()
	}
	info.Identity, info.Agent = shown(ctx, clientName), shown(ctx, "user-agent")
	return info
}

// clientName is the metadata by which a caller shows a name of its own choice.
const clientName = "zio-client-name"

// shown is a value of a call's metadata for people to read, bounded.
func shown(ctx context.Context, key string) string {
	values := metadata.ValueFromIncomingContext(ctx, key)
	if len(values) == 0 {
		return ""
	}
	return text.Printable(values[0])
}
