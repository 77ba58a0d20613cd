package flow

import "github.com/zioflow/gateway/broker/zio"

// ZIO's Python giver swallows an EOT while it waits for a PAY, and then waits for
// ever, or gives into nothing. A peer that has not answered its EOT is therefore sent
// one more, once (BRK-17): at its first DAT beyond the credit that it had, or when the
// time for an answer is over. Never earlier: an EOT that nobody waits for would end
// the next flow on its socket.

// finishInsteadOf says EOT on behalf of a side that will not.
func (s *State) finishInsteadOf(side Side, fx *Effects) {
	other := &s.sides[side.Other()]
	if !other.detached {
		fx.EOT[side.Other()] = OwnEOT{Send: true, Seqno: other.next, Plain: true}
		other.next++
	}
	s.receiveEOT(side, fx)
	s.sides[side].eotReceived = false // nobody has seen it
}

// remind asks for a second EOT to a side.
func (s *State) remind(side Side, fx *Effects) {
	me := &s.sides[side]
	if me.reminded || me.detached {
		return
	}
	me.reminded = true
	fx.Remind[side] = OwnEOT{Send: true, Seqno: me.next, Plain: s.reason == Completed}
	me.next++
}

// Owes tells whether a side was sent the EOT of a flow that has ended, and has neither
// answered it nor been sent another.
func (s State) Owes(side Side) bool {
	me := s.sides[side]
	return s.phase == Ended && me.eotSent && !me.eotReceived && !me.detached && !me.reminded
}

// Late is the state after a message of that type that came when the flow had ended.
func (s State) Late(from Side, t zio.Type) (State, Effects) {
	var fx Effects
	switch {
	case !s.Owes(from):
	case t == zio.EOT, t == zio.BOT:
		s.sides[from].eotReceived = true
	case t == zio.DAT && from == s.giver && !s.credit.spend():
		s.remind(from, &fx)
	}
	return s, fx
}

// Overdue is the state when a side has not answered in time.
func (s State) Overdue(side Side) (State, Effects) {
	var fx Effects
	if s.Owes(side) {
		s.remind(side, &fx)
	}
	return s, fx
}
