package codec

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/server/contract"
	"github.com/zioflow/gateway/server/grpcgo"
)

// outbound is a PAY, DAT or EOT on its way to a stream: what SendMsg sends. It
// belongs to the goroutine that sends on the stream, which uses it again and again.
type outbound struct {
	members  *Members
	progress *Progress
	slab     slab

	delivery transport.Delivery
	// encoded tells that encode was called, so that the message is counted when it has
	// left; borrowed that gRPC borrows the message, which is released then.
	encoded, borrowed bool
}

// maxCopied is the encoded size up to which a message is copied.
const maxCopied = 1 << 10

// encode writes the message as the generated code would. Its label is UTF-8, as
// the broker has seen to.
func (o *outbound) encode() mem.BufferSlice {
	d := &o.delivery
	if !utf8.ValidString(d.Detail) {
		d.Detail = strings.ToValidUTF8(d.Detail, "\uFFFD")
	}
	member := o.memberSize()
	size := protowire.SizeTag(o.members[d.Type]) + protowire.SizeBytes(member)
	o.encoded = true
	if size <= maxCopied {
		return o.slab.wrap(o.appendAll(o.slab.room(size), member), newEntry(d, o.progress))
	}
	o.borrowed = true
	return borrow(o, member)
}

// memberSize is the size of the member's fields.
func (o *outbound) memberSize() int {
	m := o.delivery.Message
	n := sizeString(fieldLabel, len(m.Label))
	for i := range m.Parts() {
		n += protowire.SizeTag(fieldPayload) + protowire.SizeBytes(m.Part(i).Len())
	}
	n += sizeVarint(fieldOrigin, m.Origin) + sizeVarint(fieldGranule, m.Granule) +
		sizeVarint(fieldSeqno, m.Seqno) + sizeVarint(fieldLevel, uint64(m.Level))
	switch d := &o.delivery; d.Type {
	case zio.PAY:
		n += sizeVarint(fieldCredit, uint64(d.Credit))
	case zio.EOT:
		n += sizeVarint(fieldReason, uint64(contract.ReasonOf(d.Reason))) + sizeString(fieldDetail, len(d.Detail))
	}
	return n
}

// appendAll appends the whole message to b, whose member's fields have that size.
func (o *outbound) appendAll(b []byte, member int) []byte {
	b = o.appendHead(b, member)
	m := o.delivery.Message
	for i := range m.Parts() {
		part := m.Part(i)
		b = part.AppendTo(appendPartHead(b, part.Len()))
	}
	return o.appendTail(b)
}

// appendHead appends what comes before the payload, appendTail what comes after it.
func (o *outbound) appendHead(b []byte, member int) []byte {
	b = protowire.AppendTag(b, o.members[o.delivery.Type], protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(member))
	if label := o.delivery.Message.Label; len(label) > 0 {
		b = protowire.AppendTag(b, fieldLabel, protowire.BytesType)
		b = protowire.AppendBytes(b, label)
	}
	return b
}

func appendPartHead(b []byte, size int) []byte {
	b = protowire.AppendTag(b, fieldPayload, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(size))
}

func (o *outbound) appendTail(b []byte) []byte {
	d, m := &o.delivery, o.delivery.Message
	b = appendVarint(b, fieldOrigin, m.Origin)
	b = appendVarint(b, fieldGranule, m.Granule)
	b = appendVarint(b, fieldSeqno, m.Seqno)
	b = appendVarint(b, fieldLevel, uint64(m.Level))
	switch d.Type {
	case zio.PAY:
		b = appendVarint(b, fieldCredit, uint64(d.Credit))
	case zio.EOT:
		b = appendVarint(b, fieldReason, uint64(contract.ReasonOf(d.Reason)))
		if d.Detail != "" {
			b = protowire.AppendTag(b, fieldDetail, protowire.BytesType)
			b = protowire.AppendString(b, d.Detail)
		}
	}
	return b
}

// A field that has its default value is not written.

func sizeVarint(number protowire.Number, v uint64) int {
	if v == 0 {
		return 0
	}
	return protowire.SizeTag(number) + protowire.SizeVarint(v)
}

func sizeString(number protowire.Number, n int) int {
	if n == 0 {
		return 0
	}
	return protowire.SizeTag(number) + protowire.SizeBytes(n)
}

func appendVarint(b []byte, number protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}

// slab is memory for small messages, which gRPC keeps until it has written them:
// it is cut off in turn and left to the garbage collector.
type slab struct {
	bytes   []byte
	copies  []copied
	buffers []mem.Buffer
}

// copied is a small message that gRPC has a copy of.
type copied struct {
	last  grpcgo.Last
	entry entry
}

// Written implements grpcgo.Watcher.
func (c *copied) Written() { c.entry.written() }

// Freed implements grpcgo.Watcher.
func (c *copied) Freed() { c.entry.left() }

// How much is cut up at a time.
const (
	slabBytes    = 2 << 10
	slabMessages = 16
)

// room returns an empty slice with that capacity.
func (s *slab) room(size int) []byte {
	if len(s.bytes) < size {
		s.bytes = make([]byte, slabBytes)
	}
	room := s.bytes[:0:size]
	s.bytes = s.bytes[size:]
	return room
}

// wrap returns b as what a codec returns.
func (s *slab) wrap(b []byte, e entry) mem.BufferSlice {
	if len(s.copies) == 0 {
		s.copies, s.buffers = make([]copied, slabMessages), make([]mem.Buffer, slabMessages)
	}
	one, message := s.buffers[:1:1], &s.copies[0]
	message.entry = e
	message.last.Fill(b, &e.progress.steps, message)
	one[0] = &message.last
	s.copies, s.buffers = s.copies[1:], s.buffers[1:]
	return one
}
