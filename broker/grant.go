package broker

import (
	"fmt"
	"log/slog"

	"github.com/zioflow/gateway/broker/flow"
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
	Match Match
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

func (r Rights) listenAs(name string) NameRight {
	if r.Names == nil {
		return NameUnlessHeld
	}
	return r.Names.Right(name)
}

func notAllowed(what flow.Denial, format string, args ...any) *flow.Error {
	return &flow.Error{Reason: flow.Rejected, Detail: "not allowed: " + fmt.Sprintf(format, args...), Denied: what}
}

var errForeignCID = notAllowed(flow.DeniedCID, "the cid was offered to somebody else")

// rights are what the peer may do now; everything without a grant.
func (p *Peer) rights() Rights {
	if p.grant == nil {
		return Rights{Client: true, Handler: true, Extract: true, Inject: true}
	}
	return p.grant.Rights()
}

// mayTake tells whether the peer may take that side, with a BOT of its own of
// that direction.
func (r Rights) mayTake(side flow.Side, own zio.Direction) *flow.Error {
	switch {
	case side == flow.Client && !r.Client, side == flow.Handler && !r.Handler:
		return notAllowed(flow.DeniedRole, "needs the role %v", side)
	case own == zio.Extract && !r.Extract, own == zio.Inject && !r.Inject:
		return notAllowed(flow.DeniedDirection, "the direction %v", own)
	}
	return nil
}

// mayHave tells whether the peer may take part in a flow like this.
func (r Rights) mayHave(v *View) *flow.Error {
	if r.Match != nil && !r.Match.Match(v) {
		return notAllowed(flow.DeniedAttributes, "a flow with these attributes")
	}
	return nil
}

// maySee tells whether a listener of that name may be offered this flow. Without a
// grant it may.
func maySee(g Grant, name string, v *View) bool {
	if g == nil {
		return true
	}
	r := g.Rights()
	return r.mayTake(flow.Handler, v.Direction) == nil && r.listenAs(name) != NameRefused && r.mayHave(v) == nil
}

// deny answers a BOT that the peer was not allowed.
func (p *Peer) deny(d *flow.Error) {
	p.broker.refused(d.Reason)
	p.broker.say(slog.LevelWarn, lineDenied, p.info, "BOT refused", "peer", p.info, "reason", d.Reason.String(), "detail", d.Detail, "cause", string(d.Denied))
	p.broker.denied(p.info, d.Denied)
	p.tell(d.Reason.String(), d.Reason, d.Detail)
}

func (b *Broker) denied(peer PeerInfo, what flow.Denial) {
	if tell := b.limits().Denied; tell != nil {
		tell(peer, what)
	}
}

// hold counts one more flow of that name, unless it has as many as it may. A
// peer without a name is not counted.
func (b *Broker) hold(name string, most int) *flow.Error {
	if name == "" {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if most > 0 && b.held[name] >= most {
		return &flow.Error{Reason: flow.Overloaded, Detail: fmt.Sprintf("%s has as many flows as it may, %d", name, most), Denied: flow.DeniedFlows}
	}
	b.held[name]++
	return nil
}

// unhold counts one flow of that name less.
func (b *Broker) unhold(name string) {
	if name == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[name]--; b.held[name] <= 0 {
		delete(b.held, name)
	}
}
