// Package zio holds ZIO messages: their parts, their two forms on the wire and
// the labels of the flow protocol. It does no I/O.
package zio

import (
	"errors"
	"sync/atomic"
)

// MaxLevel is the highest message level (MSG-1).
const MaxLevel = 8

// FormFlow is the form of the messages that the flow protocol itself makes.
var FormFlow = [4]byte{'F', 'L', 'O', 'W'}

// ErrMalformed is wrapped by every error of this package that a peer's bytes
// can cause.
var ErrMalformed = errors.New("malformed message")

// Coord places a message among others.
type Coord struct {
	// Origin says who sent it, by the application's own numbering.
	Origin uint64
	// Granule is microseconds since the epoch, by convention.
	Granule uint64
	// Seqno counts the messages of one sender in one flow, from 0 (FLOW-13).
	Seqno uint64
}

// Message is one ZIO message. It may alias memory that belongs to a transport, so
// everybody who holds it calls Release.
//
// Who has made a message may change it until it is handed on. From then on it is
// read-only to all who hold it, and may be read concurrently.
type Message struct {
	Level byte
	Form  [4]byte
	// Label is the prefix part after level and form: for a flow message the
	// text of a JSON object. Not to be changed in place.
	Label []byte
	Coord
	// Payload is the opaque parts, one slice for each, unless Ends says that they
	// are in pieces. Neither the slices nor their bytes are to be changed in place.
	Payload [][]byte
	// Ends is nil, or says where in Payload the parts end: part i is the slices
	// before Ends[i] and from Ends[i-1] on. A transport that receives a part piece
	// by piece need not put it together.
	Ends []int

	carrier Carrier
}

// Carrier is the memory in which a message lies, as a transport received it. A
// transport that is to send a message on may ask for the Carrier and, knowing
// its type, send that without copying. Its methods may be called concurrently.
type Carrier interface {
	// Hold takes note of one holder more. It is called by one that there is.
	Hold()
	// Release takes note of one holder less, and gives the memory back with the last.
	Release()
}

// Refs counts the holders of a Carrier. The zero Refs has one. Its methods may be called
// concurrently. While there is one holder, Drop costs a load.
type Refs struct{ more atomic.Int32 }

// Hold takes note of one holder more.
func (r *Refs) Hold() { r.more.Add(1) }

// Drop takes note of one holder less, and tells whether that was the last. It is as new
// then.
func (r *Refs) Drop() (last bool) {
	if r.more.Load() == 0 {
		return true
	}
	if r.more.Add(-1) >= 0 {
		return false
	}
	r.more.Store(0)
	return true
}

// Shared tells whether there is more than one holder. If the one who asks is the only one,
// it stays so.
func (r *Refs) Shared() bool { return r.more.Load() > 0 }

// Carry puts the message into the care of c.
func (m *Message) Carry(c Carrier) { m.carrier = c }

// Carrier returns what Carry set, or nil for ordinary Go memory.
func (m *Message) Carrier() Carrier { return m.carrier }

// Hold takes note of one holder more, who has to call Release, too. For a message without
// Carrier it does nothing.
func (m *Message) Hold() {
	if c := m.carrier; c != nil {
		c.Hold()
	}
}

// Release gives a holder's part in the message's memory back; he may use neither the
// message nor anything that aliases it after. For a message without Carrier it does
// nothing.
func (m *Message) Release() {
	if c := m.carrier; c != nil {
		c.Release()
	}
}

// Parts is the number of opaque parts.
func (m *Message) Parts() int {
	if m.Ends != nil {
		return len(m.Ends)
	}
	return len(m.Payload)
}

// Part is the i-th opaque part, from 0. It shares m's memory.
func (m *Message) Part(i int) Part {
	if m.Ends == nil {
		return m.Payload[i : i+1 : i+1]
	}
	from := 0
	if i > 0 {
		from = m.Ends[i-1]
	}
	return m.Payload[from:m.Ends[i]:m.Ends[i]]
}

// Part is an opaque part in the pieces in which it lies in memory, in order.
type Part [][]byte

// Len is the number of bytes.
func (p Part) Len() int {
	n := 0
	for _, piece := range p {
		n += len(piece)
	}
	return n
}

// AppendTo appends the bytes to b.
func (p Part) AppendTo(b []byte) []byte {
	for _, piece := range p {
		b = append(b, piece...)
	}
	return b
}

// WithLabel is a message in ordinary memory, its parts in one piece each, that
// differs from m in its label. It shares nothing with m, which the caller still
// has to release.
func (m *Message) WithLabel(label []byte) *Message {
	payload := make([][]byte, m.Parts())
	for i := range payload {
		part := m.Part(i)
		payload[i] = part.AppendTo(make([]byte, 0, part.Len()))
	}
	return &Message{Level: m.Level, Form: m.Form, Label: label, Coord: m.Coord, Payload: payload}
}

// Size is the number of payload bytes.
func (m *Message) Size() int { return Part(m.Payload).Len() }

// What a message's label and parts may be.
const (
	// MaxLabel is how long a label may be, in bytes.
	MaxLabel = 1 << 20
	// MaxParts is how many opaque parts there may be.
	MaxParts = 1 << 16
)

const (
	// freeBurden is what label and parts may take that is not counted.
	freeBurden = 4 << 10
	// partBurden is what a part takes besides its bytes: its places in Go's lists
	// and libzmq's.
	partBurden = 128
)

// Weight is how many bytes of memory the message is reckoned with: its payload,
// and its burden.
func (m *Message) Weight() int { return m.Size() + m.Burden() }

// Burden is what label and parts take beyond the 4 KiB that every message has
// free; 0 for ordinary messages.
func (m *Message) Burden() int {
	return max(0, len(m.Label)+m.PartsBurden()-freeBurden)
}

// PartsBurden is what the parts take besides their bytes.
func (m *Message) PartsBurden() int { return partBurden * m.Parts() }
