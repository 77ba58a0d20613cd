package flow

import "github.com/zioflow/gateway/broker/zio"

// Event is something that happens to a flow. Make one with the functions below.
type Event struct {
	kind   eventKind
	side   Side
	head   zio.Head
	seqno  uint64
	window int64
	queued int64
	credit Credit
	reason Reason
	detail string
}

type eventKind uint8

const (
	received eventKind = iota
	accepted
	windowUpdate
	window
	sendClosed
	left
	stopped
)

// Received is a message with that head and seqno from a side. For a PAY it says
// how many DATs are queued for its sender, that is, have not left the broker.
func Received(from Side, head zio.Head, seqno uint64, queued int64) Event {
	return Event{kind: received, side: from, head: head, seqno: seqno, queued: queued}
}

// Accepted is the handler's BOT with that seqno, and the credit agreed.
func Accepted(credit Credit, seqno uint64) Event {
	return Event{kind: accepted, side: Handler, credit: credit, seqno: seqno}
}

// WindowUpdate says how many DATs the giver may send or the broker hold, together, and
// how many it holds now. What the taker has paid beyond that is withheld.
func WindowUpdate(window, queued int64) Event {
	return Event{kind: windowUpdate, window: window, queued: queued}
}

// Window is WindowUpdate where nothing is to be paid at once.
func Window(size int64) Event { return Event{kind: window, window: size} }

// CloseSend says that a side will send nothing more, but still receives. From a
// giver that is an EOT. For a taker the EOT follows when the credit that it has
// paid is used up, or in answer to the giver's. Either is only implied: if the side
// leaves before the flow has completed, it has broken off, and the flow ends so.
func CloseSend(side Side) Event { return Event{kind: sendClosed, side: side} }

// Left says that a side is gone, and how that was seen.
func Left(side Side, detail string) Event {
	return Event{kind: left, side: side, detail: detail}
}

// Stopped ends the flow from outside: a deadline, a refusal, an operator.
func Stopped(reason Reason, detail string) Event {
	return Event{kind: stopped, reason: reason, detail: detail}
}

// Effects is what one step asks of the broker, in this order.
type Effects struct {
	// Bots asks for the BOTs that make the flow active: to the handler the
	// client's, then to the client the handler's (BRK-3).
	Bots bool
	// Relay asks to pass the received message on to the other side; a PAY with
	// Credit in the place of its own.
	Relay  bool
	Credit int64
	// DeferredPay asks for a PAY of the broker's own to the giver, for credit that was
	// withheld; 0 for none. DeferredSeqno is that of the latest PAY.
	DeferredPay   int64
	DeferredSeqno uint64
	// EOT asks for EOTs of the broker's own, by receiver.
	EOT [2]OwnEOT
	// Remind asks for a second EOT to a side, if its connection goes on after the flow.
	Remind [2]OwnEOT
}

// OwnEOT is an EOT that the broker makes.
type OwnEOT struct {
	Send bool
	// Seqno continues what the receiver was sent so far (BRK-23).
	Seqno uint64
	// Plain marks an EOT on behalf of the other side, in the normal course of
	// the flow; any other tells the end's reason.
	Plain bool
}
