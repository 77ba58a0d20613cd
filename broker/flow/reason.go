package flow

// Reason is the numbered cause for which a flow ended.
type Reason uint8

// The end reasons. Numbers and names are part of the outside contract: they
// never change their meaning.
const (
	NotEnded        Reason = iota
	Completed              // both sides said EOT
	Rejected               // the handler, or what was to find one, refused
	NoHandler              // no route matched
	HandlerTimeout         // a handler was found but did not come in time
	PeerGone               // a peer left before both sides had said EOT
	CreditViolation        // a DAT without credit, or a PAY beyond the total
	ProtocolError          // a message malformed, or not allowed in this state
	MessageTooLarge        // a message beyond the limit
	Overrun                // a peer did not read what it had asked for
	IdleTimeout            // no message for longer than allowed
	EOTTimeout             // one side's EOT was not answered in time
	EndedByAdmin           // an operator ended it
	Restarted              // a peer began another flow on the same connection
	Draining               // the gateway is shutting down
	Overloaded             // the gateway, or every handler, is at its limit
	numberOfReasons = iota
)

var reasons = [numberOfReasons]struct {
	name  string
	retry bool
}{
	NotEnded:        {"none", false},
	Completed:       {"completed", false},
	Rejected:        {"rejected", false},
	NoHandler:       {"no_handler", true},
	HandlerTimeout:  {"handler_timeout", true},
	PeerGone:        {"peer_gone", true},
	CreditViolation: {"credit_violation", false},
	ProtocolError:   {"protocol_error", false},
	MessageTooLarge: {"message_too_large", false},
	Overrun:         {"overrun", false},
	IdleTimeout:     {"idle_timeout", true},
	EOTTimeout:      {"eot_timeout", false},
	EndedByAdmin:    {"ended_by_admin", false},
	Restarted:       {"restarted", false},
	Draining:        {"draining", true},
	Overloaded:      {"overloaded", true},
}

// String is the reason as it stands in labels, logs and metrics.
func (r Reason) String() string { return reasons[r].name }

// Retry tells whether the same flow, opened again, may fare better.
func (r Reason) Retry() bool { return reasons[r].retry }

// Reasons is every reason a flow can end with.
func Reasons() []Reason {
	all := make([]Reason, 0, numberOfReasons-1)
	for r := Completed; r < numberOfReasons; r++ {
		all = append(all, r)
	}
	return all
}
