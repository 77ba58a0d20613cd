package server

import (
	"google.golang.org/grpc"

	"github.com/zioflow/gateway/internal/logs"
)

// chain is all interceptors, in their order.
type chain struct {
	unary  grpc.UnaryServerInterceptor // shown no request
	read   grpc.UnaryServerInterceptor // shown the request, when it has been read
	stream grpc.StreamServerInterceptor
}

// entrance is who lets calls in.
type entrance struct {
	*gatekeeper              // nil where callers are not authenticated
	check       *interceptor // nil where everybody may call everything
}

// newChain puts the interceptors in their order, from the outermost to the handler:
//
//   - that the call waits no longer for a handler, and that its connection carries it;
//   - the bounds of what a caller is told; the log has more of it;
//   - metrics, so that every call counts, with the status that its caller gets,
//     whichever of the others refuses it;
//   - logging, for the same reason;
//   - recovery, inside both, so that they see a panic as the INTERNAL it becomes;
//   - the headers' size, before anybody looks at them;
//   - authentication: strangers are turned away before they cost anything more. Where
//     callers are not authenticated, those on other machines are no operators;
//   - the rate limit, and how many calls there may be at once;
//   - compression, which is refused;
//   - validation, so that a handler is called with requests that make sense.
//
// All but the last have let a call in before anything is read of it. The streams of
// FlowService reach their handlers as grpc-go made them: an interceptor that wrapped
// what they send and receive would cost every DAT.
func newChain(log *logs.Sampler, c *counters, in entrance, l *limiter, allowed *allowances) chain {
	all := []interceptor{checkCalls(begin), noteCalls(), boundStatuses(), countCalls(c), logCalls(log), recoverCalls(log, c), checkCalls(checkHeaders)}
	if in.check != nil {
		all = append(all, *in.check)
	}
	all = append(all, checkCalls(in.welcome), checkCalls(noteCaller), limitCalls(l, c), allowCalls(allowed), checkCalls(checkCompression))
	if in.gatekeeper != nil {
		all = append(all, recheckCalls())
	}
	validation := validateCalls()
	return chain{
		unary:  chainUnary(all),
		read:   validation.unary,
		stream: chainStream(append(all, validation)),
	}
}
