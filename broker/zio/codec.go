package zio

import (
	"encoding/binary"
	"fmt"
)

const (
	magic      = "ZIO"
	prefixHead = len(magic) + 1 + 4 // magic, level digit, form
	coordSize  = 24
	longForm   = 0xff // marks a part's length as four bytes, big-endian
	maxShort   = 254
)

// parsePrefix reads the prefix part into m (MSG-1, MSG-2, MSG-8). The label
// aliases part.
func (m *Message) parsePrefix(part []byte) error {
	if len(part) < prefixHead {
		return fmt.Errorf("%w: prefix of %d bytes, want at least %d", ErrMalformed, len(part), prefixHead)
	}
	if string(part[:len(magic)]) != magic {
		return fmt.Errorf("%w: prefix begins with %q, want %q", ErrMalformed, part[:len(magic)], magic)
	}
	level := part[len(magic)] - '0'
	if level > MaxLevel {
		return fmt.Errorf("%w: level %q, want 0 to %d", ErrMalformed, part[len(magic)], MaxLevel)
	}
	form := part[len(magic)+1 : prefixHead]
	for _, c := range form {
		if c >= 0x80 {
			return fmt.Errorf("%w: form %q is not ASCII", ErrMalformed, form)
		}
	}
	m.Level, m.Form, m.Label = level, [4]byte(form), part[prefixHead:]
	return nil
}

func (m *Message) parseCoord(part []byte) error {
	if len(part) != coordSize {
		return fmt.Errorf("%w: coord of %d bytes, want %d", ErrMalformed, len(part), coordSize)
	}
	m.Origin = binary.LittleEndian.Uint64(part)
	m.Granule = binary.LittleEndian.Uint64(part[8:])
	m.Seqno = binary.LittleEndian.Uint64(part[16:])
	return nil
}

// AppendPrefix appends the prefix part's bytes to b (MSG-1, MSG-2).
func (m *Message) AppendPrefix(b []byte) []byte {
	b = append(b, magic...)
	b = append(b, '0'+m.Level)
	b = append(b, m.Form[:]...)
	return append(b, m.Label...)
}

// PrefixSize is the length of the prefix part.
func (m *Message) PrefixSize() int { return prefixHead + len(m.Label) }

// AppendCoord appends the coord part's bytes to b (MSG-3).
func (c Coord) AppendCoord(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, c.Origin)
	b = binary.LittleEndian.AppendUint64(b, c.Granule)
	return binary.LittleEndian.AppendUint64(b, c.Seqno)
}

// DecodeParts reads the multi-part form, without the delimiter that DEALER and
// ROUTER put in front (MSG-8). The message aliases parts and keeps no memory of
// its own; m.Payload's room is used again. Of more than MaxParts opaque parts it
// keeps one more than those: such a message is to be refused.
func (m *Message) DecodeParts(parts [][]byte) error {
	if len(parts) < 2 {
		return fmt.Errorf("%w: %d parts, want at least 2", ErrMalformed, len(parts))
	}
	if err := m.parsePrefix(parts[0]); err != nil {
		return err
	}
	if err := m.parseCoord(parts[1]); err != nil {
		return err
	}
	payload := parts[2:min(len(parts), 2+MaxParts+1)]
	m.Payload, m.Ends = append(m.Payload[:0], payload...), nil
	return nil
}

// Decode reads the single-part form, in which CLIENT and SERVER sockets
// exchange messages (MSG-5 to MSG-8). The message aliases b; m.Payload's room
// is used again. After an error m holds nothing of use. Of more than MaxParts
// opaque parts it keeps one more than those, and does not read the rest: such a
// message is to be refused (MSG-13).
func (m *Message) Decode(b []byte) error {
	prefix, b, err := cutPart(b)
	if err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	if err := m.parsePrefix(prefix); err != nil {
		return err
	}
	coord, b, err := cutPart(b)
	if err != nil {
		return fmt.Errorf("coord: %w", err)
	}
	if err := m.parseCoord(coord); err != nil {
		return err
	}
	m.Payload, m.Ends = m.Payload[:0], nil
	for len(b) > 0 && len(m.Payload) <= MaxParts {
		var part []byte
		if part, b, err = cutPart(b); err != nil {
			return fmt.Errorf("payload part %d: %w", len(m.Payload), err)
		}
		m.Payload = append(m.Payload, part)
	}
	return nil
}

func cutPart(b []byte) (part, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, fmt.Errorf("%w: part is missing", ErrMalformed)
	}
	size, b := uint64(b[0]), b[1:]
	if size == longForm {
		if len(b) < 4 {
			return nil, nil, fmt.Errorf("%w: part's length is cut off", ErrMalformed)
		}
		size, b = uint64(binary.BigEndian.Uint32(b)), b[4:]
	}
	if size > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: part of %d bytes is cut off after %d", ErrMalformed, size, len(b))
	}
	return b[:size:size], b[size:], nil
}

// EncodedSize is the length of the single-part form.
func (m *Message) EncodedSize() int {
	n := partSize(m.PrefixSize()) + partSize(coordSize)
	for i := range m.Parts() {
		n += partSize(m.Part(i).Len())
	}
	return n
}

func partSize(n int) int {
	if n > maxShort {
		return 5 + n
	}
	return 1 + n
}

// AppendEncoded appends the single-part form to b (MSG-4). No part may be
// longer than 2³²−1 bytes.
func (m *Message) AppendEncoded(b []byte) []byte {
	b = appendPartSize(b, m.PrefixSize())
	b = m.AppendPrefix(b)
	b = appendPartSize(b, coordSize)
	b = m.AppendCoord(b)
	for i := range m.Parts() {
		part := m.Part(i)
		b = appendPartSize(b, part.Len())
		b = part.AppendTo(b)
	}
	return b
}

func appendPartSize(b []byte, n int) []byte {
	if n > maxShort {
		b = append(b, longForm)
		return binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return append(b, byte(n))
}
