package flow

import (
	"fmt"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/text"
)

// Step is the state after an event, and what the event asks of the broker. An
// ended flow takes every event without effect (FLOW-20).
func (s State) Step(e Event) (State, Effects) {
	var fx Effects
	if s.phase == Ended {
		return s, fx
	}
	switch e.kind {
	case received:
		s.receive(e, &fx)
	case accepted:
		s.accept(e, &fx)
	case windowUpdate:
		s.updateWindow(e, &fx)
	case window:
		s.credit.window = e.window
	case sendClosed:
		s.sides[e.side].sendClosed = true
		s.finishClosed(&fx)
	case left:
		s.leave(e, &fx)
	case stopped:
		s.end(e.reason, e.detail, &fx)
	}
	return s, fx
}

func (s *State) receive(e Event, fx *Effects) {
	switch {
	case s.phase == Pending:
		s.receivePending(e, fx)
	case e.head.Type == zio.BOT:
		// The sender has begun anew and expects nothing of this flow (BRK-13).
		s.sides[e.side].eotSent = true
		s.end(Restarted, fmt.Sprintf("the %v began another flow", e.side), fx)
	case s.sides[e.side].eotReceived: // BRK-14
	case e.head.Type == zio.DAT:
		s.data(e, fx)
	case e.head.Type == zio.PAY:
		s.pay(e, fx)
	case e.head.Type == zio.EOT:
		s.relay(e, fx)
		s.receiveEOT(e.side, fx)
	}
}

func (s *State) receivePending(e Event, fx *Effects) {
	switch e.head.Type {
	case zio.BOT: // a duplicate: the first one is being served (BRK-9)
	case zio.EOT:
		s.sides[e.side].eotReceived = true // so ours is the answer, which nothing follows (BRK-17)
		s.end(PeerGone, "the client ended the flow before a handler came", fx)
	default:
		s.end(ProtocolError, fmt.Sprintf("the client sent %v before it was sent a BOT", e.head.Type), fx)
	}
}

func (s *State) data(e Event, fx *Effects) {
	switch {
	case e.side != s.giver:
		s.end(ProtocolError, fmt.Sprintf("the %v sent DAT but is the taker", e.side), fx)
	case s.credit.Released() == 0 && s.sides[s.giver.Other()].eotReceived:
		// The taker has ended in good order; such a giver has not heard of it, and is
		// told once more (BRK-17).
		s.finishInsteadOf(s.giver, fx)
		s.remind(s.giver, fx)
	case !s.credit.spend():
		s.end(CreditViolation, fmt.Sprintf("the %v sent DAT without credit", e.side), fx)
	default:
		s.relay(e, fx)
		s.finishClosed(fx)
	}
}

func (s *State) pay(e Event, fx *Effects) {
	n := e.head.Credit
	switch {
	case e.side == s.giver:
		s.end(ProtocolError, fmt.Sprintf("the %v sent PAY but is the giver", e.side), fx)
		return
	case n.Form == zio.Absent:
		s.end(ProtocolError, fmt.Sprintf("the %v sent PAY without credit key", e.side), fx)
		return
	case n.Form != zio.Integer:
		s.end(CreditViolation, fmt.Sprintf("the %v sent PAY of something that is no integer", e.side), fx)
		return
	}
	if !s.credit.pay(n.Value) {
		s.end(CreditViolation, fmt.Sprintf("the %v sent PAY %d, with %d of %d credits paid already",
			e.side, n.Value, s.credit.paid(), s.credit.total), fx)
		return
	}
	if s.sides[s.giver].detached {
		return // nobody is left to use it
	}
	// All may be withheld, and PAY 0 has no effect (FLOW-10).
	if release := s.credit.release(e.queued); release > 0 {
		s.relay(e, fx)
		fx.Credit = release
	}
}

// updateWindow lets the giver have what was withheld and now has room.
func (s *State) updateWindow(e Event, fx *Effects) {
	if s.phase == Pending {
		return
	}
	s.credit.window = e.window
	if s.sides[s.giver].eotSent || s.sides[s.giver.Other()].eotReceived {
		return
	}
	if fx.DeferredPay = s.credit.release(e.queued); fx.DeferredPay > 0 {
		fx.DeferredSeqno = s.sides[s.giver].next - 1
	}
}

func (s *State) relay(e Event, fx *Effects) {
	other := &s.sides[e.side.Other()]
	fx.Relay = !other.detached
	other.next = e.seqno + 1
}

// receiveEOT records that a side has said EOT and that the other was told (BRK-10,
// BRK-11).
func (s *State) receiveEOT(side Side, fx *Effects) {
	other := side.Other()
	s.sides[side].eotReceived = true
	s.sides[other].eotSent = true
	if s.sides[other].eotReceived {
		s.phase, s.reason = Ended, Completed
		return
	}
	s.phase = HalfClosed
	s.finishClosed(fx)
}

// finishClosed says EOT for a side that has closed its sending half, once it has
// nothing more to wait for.
func (s *State) finishClosed(fx *Effects) {
	for _, side := range [...]Side{Client, Handler} {
		me, other := &s.sides[side], &s.sides[side.Other()]
		if s.phase == Pending || s.phase == Ended || !me.sendClosed || me.eotReceived {
			continue
		}
		if side == s.giver || other.eotReceived || s.credit.paid() == 0 {
			me.implied = true
			fx.EOT[side.Other()] = OwnEOT{Send: true, Seqno: other.next, Plain: true}
			other.next++
			s.receiveEOT(side, fx)
		}
	}
}

func (s *State) accept(e Event, fx *Effects) {
	if s.phase != Pending {
		return
	}
	s.phase, s.credit = Active, e.credit
	s.sides[Client].next = e.seqno + 1
	fx.Bots = true
	s.finishClosed(fx)
}

func (s *State) leave(e Event, fx *Effects) {
	me := &s.sides[e.side]
	me.detached, me.eotSent = true, true // cannot be told anything any more
	if me.eotReceived && !me.implied {
		// It has said all it had to say. What the other still sends is dropped,
		// and its EOT completes the flow.
		return
	}
	s.end(PeerGone, fmt.Sprintf("the %v left: %s", e.side, e.detail), fx)
}

// end ends the flow for a reason, which every side is told that has not been
// told EOT before (BRK-17). Peers and handlers may have written the detail, which is
// cut.
func (s *State) end(reason Reason, detail string, fx *Effects) {
	for side := range s.sides {
		absent := Side(side) == Handler && s.phase == Pending
		if me := &s.sides[side]; !me.eotSent && !absent {
			me.eotSent = true
			fx.EOT[side] = OwnEOT{Send: true, Seqno: me.next}
		}
	}
	s.phase, s.reason, s.detail = Ended, reason, text.Detail(detail)
}
