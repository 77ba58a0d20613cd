// Package rights is what peers may do: which flows they may open, be offered and accept,
// and under which names they may listen.
package rights

import (
	"fmt"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/zio"
)

// Grant says what a peer may do. Its method may be called concurrently, also
// with locks of the broker's held: it neither blocks nor calls back.
type Grant interface {
	// Rights are what the peer may do now. They are asked for at every BOT, so
	// that what is changed or withdrawn holds from the next one on; flows that
	// are under way are not touched.
	Rights() Rights
}

// Rights are what a peer may do. The zero value is nothing.
type Rights struct {
	// Client allows BOTs that open flows, Handler BOTs that accept one, and
	// listening.
	Client, Handler bool
	// Extract and Inject allow the direction of the peer's own BOT: Extract = it
	// may give.
	Extract, Inject bool
	// MaxFlows bounds the flows that all peers of this name take part in, on
	// either side; 0 for no bound.
	MaxFlows int
	// Match selects the flows that the peer may open, and those that it may be
	// offered and accept, by the client's BOT; nil takes every one.
	Match matching.Match
	// Names says under which names the peer may listen; nil for any that nobody of
	// another name holds.
	Names ListenerNames
}

// ListenerNames says under which names a peer may listen. Its method may be called
// concurrently, also with locks of the broker's held.
type ListenerNames interface {
	Right(name string) NameRight
}

// NameRight is whether a peer may listen under a name.
type NameRight uint8

// The rights to a name.
const (
	NameUnlessHeld NameRight = iota // unless somebody of another identity does
	NameAllowed                     // whoever else does
	NameRefused
)

// ListenAs is the right to listen under a name.
func (r Rights) ListenAs(name string) NameRight {
	if r.Names == nil {
		return NameUnlessHeld
	}
	return r.Names.Right(name)
}

// NotAllowed is the error of somebody who lacks a right.
func NotAllowed(what flow.Denial, format string, args ...any) *flow.Error {
	return &flow.Error{Reason: flow.Rejected, Detail: "not allowed: " + fmt.Sprintf(format, args...), Denied: what}
}

// MayTake tells whether the peer may take that side, with a BOT of its own of
// that direction.
func (r Rights) MayTake(side flow.Side, own zio.Direction) *flow.Error {
	switch {
	case side == flow.Client && !r.Client, side == flow.Handler && !r.Handler:
		return NotAllowed(flow.DeniedRole, "needs the role %v", side)
	case own == zio.Extract && !r.Extract, own == zio.Inject && !r.Inject:
		return NotAllowed(flow.DeniedDirection, "the direction %v", own)
	}
	return nil
}

// MayHave tells whether the peer may take part in a flow like this.
func (r Rights) MayHave(v *matching.View) *flow.Error {
	if r.Match != nil && !r.Match.Match(v) {
		return NotAllowed(flow.DeniedAttributes, "a flow with these attributes")
	}
	return nil
}

// MaySee tells whether a listener of that name may be offered this flow. Without a
// grant it may.
func MaySee(g Grant, name string, v *matching.View) bool {
	if g == nil {
		return true
	}
	r := g.Rights()
	return r.MayTake(flow.Handler, v.Direction) == nil && r.ListenAs(name) != NameRefused && r.MayHave(v) == nil
}
