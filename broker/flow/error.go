package flow

// Error is why a flow ends, or why a BOT, an offer or a listener is refused: a reason, its
// cause in words, and what was lacking where it was a right. All rooms of the broker use
// it; each front translates it once.
type Error struct {
	Reason Reason
	Detail string
	// Denied is for want of what something was not allowed; empty where it was not that.
	Denied Denial
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Reason.String()
	}
	return e.Detail
}

// Denial is for want of what something was not allowed, in one word.
type Denial string

// The denials.
const (
	DeniedRole       Denial = "role"       // not client, or not handler
	DeniedDirection  Denial = "direction"  // may not give, or not take
	DeniedAttributes Denial = "attributes" // Rights.Match does not take the flow
	DeniedFlows      Denial = "flows"      // has as many as it may
	DeniedCID        Denial = "cid"        // the offer was made to somebody else
	DeniedName       Denial = "name"       // may not listen under that name
)
