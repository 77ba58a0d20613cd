// Package flow is one flow as the broker in its middle sees it: the life of
// both its sides and the ledger of its credit. It is a pure function of state
// and event: it knows no clock, no connection and no log.
package flow

import "github.com/zioflow/gateway/broker/zio"

// Side is one of a flow's two peers.
type Side uint8

// The sides.
const (
	Client  Side = iota // opened the flow
	Handler             // accepted it
)

var sideNames = [...]string{"client", "handler"}

func (s Side) String() string { return sideNames[s] }

// Other is the side across.
func (s Side) Other() Side { return s ^ 1 }

// Phase is how far a flow has come.
type Phase uint8

// The phases, in order.
const (
	Pending    Phase = iota // the client's BOT waits for a handler's
	Active                  // both BOTs were seen
	HalfClosed              // one side has said EOT
	Ended                   // nothing more crosses
)

var phaseNames = [...]string{"pending", "active", "half-closed", "ended"}

func (p Phase) String() string { return phaseNames[p] }

// State is a flow between two events. The zero State is not a flow: use Open.
type State struct {
	phase  Phase
	giver  Side
	credit Credit
	sides  [2]sideState
	reason Reason
	detail string
}

// sideState is what the flow knows of one side.
type sideState struct {
	eotReceived bool // it has said EOT
	// implied tells that nobody has seen that EOT: it was taken from its silence, and
	// counts for nothing if the side leaves before the flow has completed.
	implied    bool
	eotSent    bool   // it was sent an EOT, or can't be or needn't be
	sendClosed bool   // it has closed its sending half: nothing more comes from it
	detached   bool   // it has left: nothing reaches it
	reminded   bool   // it was sent a second EOT, the last one
	next       uint64 // the seqno that continues what it was sent
}

// Open is the state after a client's BOT of that direction and seqno.
func Open(direction zio.Direction, seqno uint64) State {
	s := State{phase: Pending, giver: Client}
	if direction == zio.Inject {
		s.giver = Handler
	}
	s.sides[Handler].next = seqno + 1
	return s
}

// Phase is how far the flow has come.
func (s State) Phase() Phase { return s.phase }

// Giver is the side that sends DAT.
func (s State) Giver() Side { return s.giver }

// Credit is the flow's ledger; empty while pending.
func (s State) Credit() Credit { return s.credit }

// Reason is why the flow ended, NotEnded before.
func (s State) Reason() Reason { return s.reason }

// Detail says the reason's cause in words; may be empty.
func (s State) Detail() string { return s.detail }
