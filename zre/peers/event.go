package peers

import (
	"net/netip"

	"github.com/zioflow/gateway/zre/wire"
)

// Out is the number of a connection outwards. The machine gives them; none is used twice,
// and none is 0.
type Out uint64

// In is the number of a connection that came in. Who uses the machine gives them, likewise.
type In uint64

// Event is something that has happened. One of the types below.
type Event interface{ event() }

// The events.
type (
	// Announced is what this node says about itself from now on.
	Announced struct{ Announcement }
	// Heard is a beacon from an address.
	Heard struct {
		From   netip.Addr
		Beacon wire.Beacon
	}
	// Garbled is a datagram that is no beacon.
	Garbled struct {
		From netip.Addr
		Err  error
	}
	// Connected tells that a Dial has succeeded.
	Connected struct{ Out Out }
	// Closed tells that a Dial has failed, or that its connection has ended.
	Closed struct{ Out Out }
	// Opened is a connection of a peer in whose name it is made.
	Opened struct {
		In   In
		UUID wire.UUID
		From netip.Addr
	}
	// Received is a message that came in; Err is set instead if it is none.
	Received struct {
		In      In
		Message wire.Message
		Err     error
	}
	// Dropped tells that a connection that came in has ended.
	Dropped struct{ In In }
	// Tick comes a few times a second.
	Tick struct{}
)

func (Announced) event() {}
func (Heard) event()     {}
func (Garbled) event()   {}
func (Connected) event() {}
func (Closed) event()    {}
func (Opened) event()    {}
func (Received) event()  {}
func (Dropped) event()   {}
func (Tick) event()      {}

// Effect is something to be done. One of the types below.
type Effect interface{ effect() }

// The effects.
type (
	// Dial has a connection made to an inbox: Connected or Closed tells what came of it.
	Dial struct {
		Out Out
		To  netip.AddrPort
	}
	// Send has a message sent.
	Send struct {
		Out     Out
		Message wire.Message
	}
	// Hang has a connection outwards closed, or not made any more. No event follows.
	Hang struct{ Out Out }
	// Cut has one that came in closed. No event follows.
	Cut struct{ In In }
	// Greeted tells that a HELLO has come on a connection that is now a peer's.
	Greeted struct{ In In }
	// Entered is a peer that is there now.
	Entered struct{ Peer }
	// Changed is one with what it is now.
	Changed struct{ Peer }
	// Exited is one that is not there any more.
	Exited struct {
		UUID   wire.UUID
		Reason Reason
	}
	// Refused tells what was dropped and where it came from. It is counted already.
	Refused struct {
		Cause Cause
		From  netip.Addr
	}
)

func (Dial) effect()    {}
func (Send) effect()    {}
func (Hang) effect()    {}
func (Cut) effect()     {}
func (Greeted) effect() {}
func (Entered) effect() {}
func (Changed) effect() {}
func (Exited) effect()  {}
func (Refused) effect() {}
