package relay

import (
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// crossed is the DATs that have left for the taker, as far as its transport tells.
// f.mu is held.
func (f *Flow) crossed() transport.Count {
	if !f.ended.IsZero() {
		return f.account.Crossed
	}
	taker := f.peers[f.state.Giver().Other()]
	if taker == nil {
		return f.account.Data
	}
	link, knows := taker.Link.(transport.Departed)
	if !knows {
		return f.account.Data
	}
	left, before, most := link.Departed(), f.account.Before, f.account.Data
	// What an earlier flow has left in the link leaves it during this one.
	return transport.Count{
		Messages: min(left.Messages-min(before.Messages, left.Messages), most.Messages),
		Bytes:    min(left.Bytes-min(before.Bytes, left.Bytes), most.Bytes),
	}
}

// departure has only those DATs count that leave from now on. f.mu is held.
func (f *Flow) departure() {
	if taker := f.peers[f.state.Giver().Other()]; taker != nil {
		if link, knows := taker.Link.(transport.Departed); knows {
			f.account.Before = link.Departed()
		}
	}
}

// count takes a message of a side into the account. Only a DAT or a PAY, or one
// that changes whom the flow waits for, costs a look at the clock. f.mu is held.
func (f *Flow) count(from flow.Side, t zio.Type, size int, passed bool) {
	a := &f.account
	a.Receive(from, size)
	var now ledger.Moment
	switch t {
	case zio.DAT:
		now = f.host.Clock.Now()
		a.LastDAT = now
		if passed {
			a.Pass(size, now)
		}
	case zio.PAY:
		now = f.host.Clock.Now()
		a.LastPAY = now
	}
	f.turn(now)
}

// turn sees whether the state has changed whom the flow waits for; now may be 0.
// f.mu is held.
func (f *Flow) turn(now ledger.Moment) {
	by := ledger.HeldUp(&f.state)
	if was, _ := f.account.HeldUpBy(); by == was {
		return
	}
	if now == 0 {
		now = f.host.Clock.Now()
	}
	f.account.Turn(by, now)
}
