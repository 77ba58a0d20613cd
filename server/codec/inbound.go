package codec

import (
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// Inbound is a PAY, DAT or EOT as it came from a stream: a message in the buffers
// in which gRPC read it. It implements zio.Carrier.
type Inbound struct {
	zio.Message
	refs    zio.Refs
	buffers mem.BufferSlice // nil for ordinary memory
	level   uint32          // as it was sent: may be more than there are
	Credit  int64           // a PAY's
	ends    []int           // room for Message.Ends

	// Reason and Detail are what an EOT says besides its label. It counts between nodes of a
	// cluster alone.
	Reason flow.Reason
	Detail string

	account *budget.Account // nil where nothing was charged
	charged int64
}

var inboundPool = sync.Pool{New: func() any { return new(Inbound) }}

// envelope is what the four messages of a flow have in common.
type envelope interface {
	GetLabel() string
	GetPayload() [][]byte
	GetOrigin() uint64
	GetGranule() uint64
	GetSeqno() uint64
	GetLevel() uint32
}

// newInbound is a message that the generated code has read, whose memory it
// shares. The type's other fields are the caller's to set.
func newInbound(e envelope) *Inbound {
	in := inboundPool.Get().(*Inbound)
	in.begin()
	in.Label, in.Payload = []byte(e.GetLabel()), append(in.Payload, e.GetPayload()...)
	in.Coord = zio.Coord{Origin: e.GetOrigin(), Granule: e.GetGranule(), Seqno: e.GetSeqno()}
	in.level = e.GetLevel()
	return in
}

// NewBOT returns a stream's BOT with that label in place of its own, whose memory it
// shares.
func NewBOT(bot *gatewayv1.Bot, label []byte) *Inbound {
	in := newInbound(bot)
	in.Label = label
	return in
}

// NewPAY returns a PAY that the gateway sends in the stream's place.
func NewPAY(credit int64) *Inbound {
	in := NewEOT()
	in.Credit = credit
	return in
}

// NewEOT returns an EOT that the gateway sends in the stream's place.
func NewEOT() *Inbound {
	in := inboundPool.Get().(*Inbound)
	in.begin()
	return in
}

func (in *Inbound) begin() {
	in.Form = zio.FormFlow
	in.Carry(in)
}

// Charge puts the message on an account, as it is here already, once there is room;
// false if stop is closed first.
func (in *Inbound) Charge(account *budget.Account, stop <-chan struct{}) bool {
	weight := int64(in.Weight())
	if weight == 0 {
		return true
	}
	if !account.Charge(weight, 0, stop) {
		return false
	}
	in.account, in.charged = account, weight
	return true
}

// keepPieces is how long a list of pieces may be to be kept for another message.
const keepPieces = 1 << 10

// Hold implements zio.Carrier.
func (in *Inbound) Hold() { in.refs.Hold() }

// Release implements zio.Carrier. With the last holder the Inbound will be used for another message.
func (in *Inbound) Release() {
	if !in.refs.Drop() {
		return
	}
	in.buffers.Free()
	if in.account != nil {
		in.account.Release(in.charged)
	}
	payload, ends := in.Payload, in.ends
	if cap(payload) > keepPieces {
		payload = nil
	}
	if cap(ends) > keepPieces {
		ends = nil
	}
	clear(payload)
	*in = Inbound{Message: zio.Message{Payload: payload[:0]}, ends: ends[:0]}
	inboundPool.Put(in)
}

// read reads the fields of a message of that type, up to the cursor's end, or
// until there are more parts than a message may have. It returns false where the
// generated code should have a look.
func (in *Inbound) read(c *cursor, t zio.Type, pieces int) bool {
	in.begin()
	if pieces > 1 {
		in.Payload = slices.Grow(in.Payload, pieces)
	}
	for c.left > 0 && len(in.ends) <= zio.MaxParts {
		tag, ok := c.varint()
		if !ok {
			return false
		}
		switch number, kind := protowire.DecodeTag(tag); kind {
		case protowire.BytesType:
			ok = in.readBytes(c, number)
		case protowire.VarintType:
			ok = in.readVarint(c, number, t)
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	if len(in.ends) < len(in.Payload) {
		in.Ends = in.ends
	}
	return true
}

func (in *Inbound) readBytes(c *cursor, number protowire.Number) bool {
	size, ok := c.size()
	if !ok {
		return false
	}
	switch number {
	case fieldLabel:
		in.Label = c.bytes(size)
		return utf8.Valid(in.Label)
	case fieldPayload:
		in.Payload = c.pieces(in.Payload, size)
		in.ends = append(in.ends, len(in.Payload))
		return true
	default:
		return false
	}
}

func (in *Inbound) readVarint(c *cursor, number protowire.Number, t zio.Type) bool {
	v, ok := c.varint()
	switch {
	case number == fieldOrigin:
		in.Origin = v
	case number == fieldGranule:
		in.Granule = v
	case number == fieldSeqno: // which counts between nodes alone
		in.Seqno = v
	case number == fieldLevel:
		in.level = uint32(v)
	case number == fieldCredit && t == zio.PAY:
		in.Credit = int64(v)
	default:
		return false
	}
	return ok
}

// Complete makes a message for the broker of what was sent: it supplies the
// label's type and stamps the granule. It returns the label's head, and true if that is
// known; or the error INVALID_ARGUMENT.
func (in *Inbound) Complete(t zio.Type) (zio.Head, bool, error) {
	head, known, err := in.Carried(t)
	if err == nil && in.Granule == 0 {
		in.Granule = uint64(time.Now().UnixMicro())
	}
	return head, known, err
}

// Carried is Complete for a message that another gateway passes on, whose coordinates are
// its sender's.
func (in *Inbound) Carried(t zio.Type) (zio.Head, bool, error) {
	head, known, err := in.supply(t)
	if err != nil {
		return head, false, contract.BadField("label", "%v", err)
	}
	if in.level > zio.MaxLevel {
		return head, false, contract.BadField("level", "is %d, want 0 to %d", in.level, zio.MaxLevel)
	}
	in.Level = byte(in.level)
	return head, known, nil
}

// supply sees to it that the label says the type, and the credit. Most labels
// are empty or say just that.
func (in *Inbound) supply(t zio.Type) (head zio.Head, known bool, err error) {
	head = zio.Head{Type: t}
	if t == zio.PAY {
		head.Credit = zio.Number{Value: in.Credit, Form: zio.Integer}
	}
	switch {
	case len(in.Label) == 0:
		in.Label, err = zio.Supply(nil, t, in.Credit)
		return head, true, err
	case t != zio.PAY && string(in.Label) == string(zio.BareLabel(t)):
		in.Label = zio.BareLabel(t)
		return head, true, nil
	}
	read, err := zio.Peek(in.Label)
	if err == nil && read.Type == t && (t != zio.PAY || read.Credit == head.Credit) {
		return read, true, nil
	}
	in.Label, err = zio.Supply(in.Label, t, in.Credit)
	return zio.Head{}, false, err
}
