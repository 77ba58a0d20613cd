package zioflow

import (
	"strings"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Reason is the cause for which a flow ended.
type Reason int32

// The reasons. A gateway newer than this package may know others.
const (
	Unknown         = Reason(gatewayv1.EndReason_END_REASON_UNSPECIFIED)
	Completed       = Reason(gatewayv1.EndReason_END_REASON_COMPLETED)         // both sides said EOT
	Rejected        = Reason(gatewayv1.EndReason_END_REASON_REJECTED)          // the handler, or what was to find one, refused
	NoHandler       = Reason(gatewayv1.EndReason_END_REASON_NO_HANDLER)        // no route matched
	HandlerTimeout  = Reason(gatewayv1.EndReason_END_REASON_HANDLER_TIMEOUT)   // a handler was found but did not come in time
	PeerGone        = Reason(gatewayv1.EndReason_END_REASON_PEER_GONE)         // a side left before both had said EOT
	CreditViolation = Reason(gatewayv1.EndReason_END_REASON_CREDIT_VIOLATION)  // a DAT without credit, or a PAY beyond the total
	ProtocolError   = Reason(gatewayv1.EndReason_END_REASON_PROTOCOL_ERROR)    // a message malformed, or not allowed in this state
	MessageTooLarge = Reason(gatewayv1.EndReason_END_REASON_MESSAGE_TOO_LARGE) // a message larger than the gateway takes
	Overrun         = Reason(gatewayv1.EndReason_END_REASON_OVERRUN)           // a side did not read what it had asked for
	IdleTimeout     = Reason(gatewayv1.EndReason_END_REASON_IDLE_TIMEOUT)      // no message for longer than allowed
	EOTTimeout      = Reason(gatewayv1.EndReason_END_REASON_EOT_TIMEOUT)       // one side's EOT was not answered in time
	EndedByAdmin    = Reason(gatewayv1.EndReason_END_REASON_ENDED_BY_ADMIN)    // an operator ended it
	Restarted       = Reason(gatewayv1.EndReason_END_REASON_RESTARTED)         // a side began another flow on its connection
	Draining        = Reason(gatewayv1.EndReason_END_REASON_DRAINING)          // the gateway is shutting down
	Overloaded      = Reason(gatewayv1.EndReason_END_REASON_OVERLOADED)        // the gateway, or every handler, is at its limit
)

const reasonPrefix = "END_REASON_"

// String is the reason as the gateway's logs and metrics have it.
func (r Reason) String() string {
	if r == Unknown {
		return "unknown"
	}
	return strings.ToLower(strings.TrimPrefix(gatewayv1.EndReason(r).String(), reasonPrefix))
}

// Retry tells whether the same flow, opened again, may fare better.
func (r Reason) Retry() bool {
	switch r {
	case NoHandler, HandlerTimeout, PeerGone, IdleTimeout, Draining, Overloaded:
		return true
	default:
		return false
	}
}
