package server

import (
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/zio"
)

// arrival is a PAY, DAT or EOT as it came from a stream: a message in the buffers
// in which gRPC read it. It implements zio.Carrier.
type arrival struct {
	zio.Message
	frames mem.BufferSlice // nil for ordinary memory
	level  uint32          // as it was sent: may be more than there are
	credit int64           // a PAY's
	ends   []int           // room for Message.Ends

	account *broker.ByteAccount // nil where nothing was charged
	charged int64
}

var arrivals = sync.Pool{New: func() any { return new(arrival) }}

// newArrival is a message that the generated code has read, whose memory it
// shares. The type's other fields are the caller's to set.
func newArrival(e envelope) *arrival {
	a := arrivals.Get().(*arrival)
	a.begin()
	a.Label, a.Payload = []byte(e.GetLabel()), append(a.Payload, e.GetPayload()...)
	a.Coord = zio.Coord{Origin: e.GetOrigin(), Granule: e.GetGranule()}
	a.level = e.GetLevel()
	return a
}

// ownArrival is a message that the gateway says for the stream. Only a PAY has
// credit.
func ownArrival(credit int64) *arrival {
	a := arrivals.Get().(*arrival)
	a.begin()
	a.credit = credit
	return a
}

func (a *arrival) begin() {
	a.Form = zio.FormFlow
	a.Carry(a)
}

// charge puts the message on an account, as it is here already, once there is room;
// false if stop is closed first.
func (a *arrival) charge(account *broker.ByteAccount, stop <-chan struct{}) bool {
	weight := int64(a.Weight())
	if weight == 0 {
		return true
	}
	if !account.Charge(weight, 0, stop) {
		return false
	}
	a.account, a.charged = account, weight
	return true
}

// keepPieces is how long a list of pieces may be to be kept for another message.
const keepPieces = 1 << 10

// Release implements zio.Carrier. The arrival will be used for another message.
func (a *arrival) Release() {
	a.frames.Free()
	if a.account != nil {
		a.account.Release(a.charged)
	}
	payload, ends := a.Payload, a.ends
	if cap(payload) > keepPieces {
		payload = nil
	}
	if cap(ends) > keepPieces {
		ends = nil
	}
	clear(payload)
	*a = arrival{Message: zio.Message{Payload: payload[:0]}, ends: ends[:0]}
	arrivals.Put(a)
}

// read reads the fields of a message of that type, up to the cursor's end, or
// until there are more parts than a message may have. It answers false where the
// generated code should have a look.
func (a *arrival) read(c *cursor, t zio.Type, pieces int) bool {
	a.begin()
	if pieces > 1 {
		a.Payload = slices.Grow(a.Payload, pieces)
	}
	for c.left > 0 && len(a.ends) <= zio.MaxParts {
		tag, ok := c.varint()
		if !ok {
			return false
		}
		switch number, kind := protowire.DecodeTag(tag); kind {
		case protowire.BytesType:
			ok = a.readBytes(c, number)
		case protowire.VarintType:
			ok = a.readVarint(c, number, t)
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	if len(a.ends) < len(a.Payload) {
		a.Ends = a.ends
	}
	return true
}

func (a *arrival) readBytes(c *cursor, number protowire.Number) bool {
	size, ok := c.size()
	if !ok {
		return false
	}
	switch number {
	case fieldLabel:
		a.Label = c.bytes(size)
		return utf8.Valid(a.Label)
	case fieldPayload:
		a.Payload = c.pieces(a.Payload, size)
		a.ends = append(a.ends, len(a.Payload))
		return true
	default:
		return false
	}
}

func (a *arrival) readVarint(c *cursor, number protowire.Number, t zio.Type) bool {
	v, ok := c.varint()
	switch {
	case number == fieldOrigin:
		a.Origin = v
	case number == fieldGranule:
		a.Granule = v
	case number == fieldSeqno: // output only
	case number == fieldLevel:
		a.level = uint32(v)
	case number == fieldCredit && t == zio.PAY:
		a.credit = int64(v)
	default:
		return false
	}
	return ok
}

// complete makes a message for the broker of what was sent: it supplies the
// label's type and stamps the granule. It answers the label's head, if that is
// known, with true.
func (a *arrival) complete(t zio.Type) (zio.Head, bool, error) {
	head, known, err := a.supply(t)
	if err != nil {
		return head, false, badField("label", "%v", err)
	}
	if a.level > zio.MaxLevel {
		return head, false, badField("level", "is %d, want 0 to %d", a.level, zio.MaxLevel)
	}
	a.Level = byte(a.level)
	if a.Granule == 0 {
		a.Granule = uint64(time.Now().UnixMicro())
	}
	return head, known, nil
}

// supply sees to it that the label says the type, and the credit. Most labels
// are empty or say just that.
func (a *arrival) supply(t zio.Type) (head zio.Head, known bool, err error) {
	head = zio.Head{Type: t}
	if t == zio.PAY {
		head.Credit = zio.Number{Value: a.credit, Form: zio.Integer}
	}
	switch {
	case len(a.Label) == 0:
		a.Label, err = zio.Supply(nil, t, a.credit)
		return head, true, err
	case t != zio.PAY && string(a.Label) == string(zio.BareLabel(t)):
		a.Label = zio.BareLabel(t)
		return head, true, nil
	}
	read, err := zio.Peek(a.Label)
	if err == nil && read.Type == t && (t != zio.PAY || read.Credit == head.Credit) {
		return read, true, nil
	}
	a.Label, err = zio.Supply(a.Label, t, a.credit)
	return zio.Head{}, false, err
}
