package codec

import (
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zioflow/gateway/broker/zio"
)

// maxBesides is how many bytes a message may have besides its parts: its label, a
// BOT's attributes, and what is small.
const maxBesides = zio.MaxLabel + 64<<10

// checkLimits refuses a message that the generated code should not read, since what it
// would build takes many times the message's own memory (MSG-13): one with more
// parts than there may be, or with too much besides them. The error is
// RESOURCE_EXHAUSTED. A message that is not sound is left to the generated code.
func checkLimits(data mem.BufferSlice, members *Members) error {
	if data.Len() <= zio.MaxParts { // each takes two bytes
		return nil
	}
	m := measure{cursor: newCursor(data), members: members}
	m.message()
	switch {
	case m.parts > zio.MaxParts:
		return status.Errorf(codes.ResourceExhausted, "the message has more than %d parts", zio.MaxParts)
	case m.besides > maxBesides:
		return status.Errorf(codes.ResourceExhausted, "label and attributes have more than %d bytes", maxBesides)
	default:
		return nil
	}
}

// measure is what was found of a message so far.
type measure struct {
	cursor
	members        *Members
	parts, besides int
}

// message measures all members that there are.
func (m *measure) message() {
	for m.left > 0 {
		number, kind := m.tag()
		if kind != protowire.BytesType || !m.members.has(number) {
			m.field(kind)
			continue
		}
		size, _ := m.size()
		for end := m.left - min(size, m.left); m.left > end; {
			number, kind := m.tag()
			if kind == protowire.BytesType && number == fieldPayload { // a BOT's has the same number
				m.parts++
				size, _ := m.size()
				m.skip(min(size, m.left))
			} else {
				m.field(kind)
			}
		}
	}
}

// tag reads a field's tag; of an unsound one the kind is none that there is.
func (m *measure) tag() (protowire.Number, protowire.Type) {
	tag, ok := m.varint()
	if !ok {
		return 0, -1
	}
	return protowire.DecodeTag(tag)
}

// field passes over a field that is no part.
func (m *measure) field(kind protowire.Type) {
	before, size := m.left, 0
	switch kind {
	case protowire.VarintType:
		_, _ = m.varint()
	case protowire.Fixed32Type:
		size = 4
	case protowire.Fixed64Type:
		size = 8
	case protowire.BytesType:
		size, _ = m.size()
	default: // a group, or nothing
		size = m.left
	}
	m.skip(min(size, m.left))
	if m.left == before { // unsound
		m.skip(m.left)
	}
	m.besides += before - m.left
}

// has tells whether a field is one of the members.
func (o *Members) has(number protowire.Number) bool {
	return slices.Contains(o[zio.BOT:], number) && number != 0
}
