package zmqbridge

// cause is why a connection ended, in one word, for metrics.
type cause string

// The causes.
const (
	causeGone     cause = "gone"     // the peer has closed it, or the network
	causeSilent   cause = "silent"   // heartbeats were not answered
	causeStalled  cause = "stalled"  // the peer took no byte
	causeReplaced cause = "replaced" // another connection took its name
	causeAdmin    cause = "admin"    // an operator ended it
	causeProtocol cause = "protocol" // it broke ZMTP
	causeTooLarge cause = "too_large"
	causePanic    cause = "panic"
	causeClosing  cause = "closing" // the gateway is
)

var causes = []cause{
	causeGone, causeSilent, causeStalled, causeReplaced, causeAdmin, causeProtocol, causeTooLarge, causePanic, causeClosing,
}

// protocolFault is for what a connection is ended.
type protocolFault struct {
	cause  cause
	detail string
}

func (p *protocolFault) Error() string { return p.detail }
