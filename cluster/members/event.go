package members

import "time"

// ID is a node's own, from its start to its end.
type ID string

// Beat says that a node is there.
type Beat struct {
	ID ID
	// Name is the node's as people know it; Version its program's.
	Name, Version string
	// Protocol is the version of what nodes say to each other.
	Protocol uint32
	// Started is when it was, by its own clock.
	Started time.Time
	// Number is that of its table's latest change.
	Number uint64
	// Address is HOST:PORT at which others reach it.
	Address string
	// Draining: it refuses new flows. Leaving: it is about to end.
	Draining, Leaving bool
	// Flows are those that have not ended.
	Flows uint64
}

// Listener is a listener as other nodes know it. Listeners are compared with ==.
type Listener struct {
	// ID is its number at its node.
	ID          uint64
	Name, Match string
	// MaxFlows bounds Flows, offers included; 0 for no bound.
	MaxFlows, Flows int
	// Transport, Address, Identity and Holder are who it is: as transport.PeerInfo, with its
	// Name as Holder.
	Transport, Address, Identity, Holder string
}

// Busy is how many flows a listener has: what changes most of it.
type Busy struct {
	ID    uint64
	Flows int
}

// Route is a route that an operator has added at its node, as other nodes know it. It stays as it
// is until it is removed. Routes are compared with ==.
type Route struct {
	// ID is its number at its node, of which none is used twice.
	ID uint64
	// Body is the route itself, as it is sent: nothing here looks into it.
	Body string
}

// Change changes a node's table.
type Change struct {
	ID ID
	// Number is one more than that of the change before.
	Number uint64
	Entries
}

// Entries are what has changed of a table.
type Entries struct {
	Set     []Listener
	Removed []uint64
	// Busy are listeners of which nothing else has changed. Nodes of version 1 do not know it.
	Busy []Busy
	// SetRoutes and RemovedRoutes are as Set and Removed, of routes. Nodes of version 1 do not
	// know them.
	SetRoutes     []Route
	RemovedRoutes []uint64
}

// Len is how many there are.
func (e *Entries) Len() int {
	return len(e.Set) + len(e.Removed) + len(e.Busy) + len(e.SetRoutes) + len(e.RemovedRoutes)
}

// Table is what a node has said of itself, up to a change.
type Table struct {
	ID        ID
	Number    uint64
	Listeners []Listener // in the order of their IDs
	Routes    []Route    // likewise
}

// Event is something that has happened. One of the types below.
type Event interface{ event() }

// The events.
type (
	// Tick comes every Options.Beat.
	Tick struct{}
	// Heard is a beat of a node.
	Heard struct{ Beat }
	// Told is a change of a node's table.
	Told struct{ Change }
	// Read is a node's table, which Fetch had read.
	Read struct{ Table }
	// Failed tells that Fetch has failed.
	Failed struct{ ID ID }
	// Moved tells when bytes have last come on the connection to a node.
	Moved struct {
		ID ID
		At time.Time
	}
	// Own changes this node's table, but that its Busy does nothing. Of a listener of which nothing
	// has changed but its Flows the others are told with the next beat or, where that matters to
	// whom flows are offered, at once.
	Own struct{ Entries }
	// Load is how this node is.
	Load struct {
		Draining bool
		Flows    uint64
	}
	// Leave tells that this node is about to end.
	Leave struct{}
)

func (Tick) event()   {}
func (Heard) event()  {}
func (Told) event()   {}
func (Read) event()   {}
func (Failed) event() {}
func (Moved) event()  {}
func (Own) event()    {}
func (Load) event()   {}
func (Leave) event()  {}

// Effect is something to be done. One of the types below.
type Effect interface{ effect() }

// The effects.
type (
	// Say has a beat published.
	Say struct{ Beat }
	// Tell has a change published.
	Tell struct{ Change }
	// Fetch has a node's table read: Read or Failed tells what came of it.
	Fetch struct{ Node }
	// Probe has a node asked over the connection to it whether it is there: Moved tells if
	// it is.
	Probe struct{ Node }
	// Joined is a node that is there now.
	Joined struct{ Node }
	// Updated is one with what it is now.
	Updated struct{ Node }
	// Changed is what has changed of a node's listeners and routes.
	Changed struct {
		Node Node
		Entries
	}
	// Left is a node that is there no more, and with it what it had: Why says how that was
	// seen. Whatever stands with it is to be ended.
	Left struct {
		Node Node
		Why  Why
	}
	// Refused tells of what was not taken of a node, once for each cause and node.
	Refused struct {
		Beat Beat
		Why  Refusal
	}
)

func (Say) effect()     {}
func (Tell) effect()    {}
func (Fetch) effect()   {}
func (Probe) effect()   {}
func (Joined) effect()  {}
func (Updated) effect() {}
func (Changed) effect() {}
func (Left) effect()    {}
func (Refused) effect() {}

// Why is how it was seen that a node is there no more.
type Why uint8

// The causes.
const (
	// Silent: neither beats nor bytes came of it.
	Silent Why = iota + 1
	// Gone: it has said that it leaves.
	Gone
)

func (w Why) String() string { return [...]string{"none", "silent", "gone"}[w] }

// Refusal is why a node is not taken in, or not all that it has.
type Refusal uint8

// The causes.
const (
	// Stranger: it speaks another version of the protocol.
	Stranger Refusal = iota + 1
	// Crowd: there are Options.MaxNodes.
	Crowd
	// Namesake: it has the name of another that is there. It is taken in all the same.
	Namesake
	// Excess: it has more routes than Options allow. It is taken in, with those that came first.
	Excess
)

func (r Refusal) String() string {
	return [...]string{"none", "stranger", "crowd", "namesake", "excess"}[r]
}

// Node is another node at one moment.
type Node struct {
	Beat
	// Listeners and Routes are those that are known.
	Listeners, Routes int
	// Current tells that all that it has said of its table has come.
	Current bool
	// Heard is when its latest beat came.
	Heard time.Time
}
