package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// The fields of OpenRequest and OpenResponse, and of Dat.
const (
	fieldDat     = protowire.Number(3)
	fieldPayload = protowire.Number(2)
)

// datHead is as much of a DAT as is looked at: all but the payload's bytes, of
// which it has the first. Labels of a benchmark are short.
const datHead = 256

// codec sends and receives the generated messages, and besides them, without a
// copy of the payload, *outgoing and *incoming.
type codec struct{}

// outgoing is an encoded DAT of which only the payload's first bytes differ
// from one to the next.
type outgoing struct {
	before []byte
	number uint64
	rest   mem.SliceBuffer // shared by all
}

// newOutgoing is a DAT with a payload of size bytes, at least 8.
func newOutgoing(size int) *outgoing {
	dat := protowire.AppendTag(nil, fieldPayload, protowire.BytesType)
	dat = protowire.AppendVarint(dat, uint64(size))
	before := protowire.AppendTag(nil, fieldDat, protowire.BytesType)
	before = protowire.AppendVarint(before, uint64(len(dat)+size))
	return &outgoing{before: append(before, dat...), rest: make(mem.SliceBuffer, size-8)}
}

// incoming is a message as far as a taker looks at it.
type incoming struct {
	// dat tells whether it is one; then number and size are its payload's.
	dat    bool
	number uint64
	size   int
	other  gatewayv1.OpenResponse
}

// Name implements encoding.CodecV2.
func (codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *outgoing:
		head := make([]byte, 0, len(m.before)+8)
		head = binary.LittleEndian.AppendUint64(append(head, m.before...), m.number)
		return mem.BufferSlice{mem.SliceBuffer(head), m.rest}, nil
	case proto.Message:
		b, err := proto.Marshal(m)
		return mem.BufferSlice{mem.SliceBuffer(b)}, err
	default:
		return nil, fmt.Errorf("cannot send a %T", v)
	}
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*incoming)
	if !ok {
		return fmt.Errorf("cannot receive a %T", v)
	}
	var head [datHead]byte
	n := 0
	for _, buffer := range data {
		if n == len(head) {
			break
		}
		n += copy(head[n:], buffer.ReadOnlyData())
	}
	number, _, length := protowire.ConsumeTag(head[:n])
	if m.dat = number == fieldDat; !m.dat {
		return proto.Unmarshal(data.Materialize(), &m.other)
	}
	if length < 0 {
		return protowire.ParseError(length)
	}
	return m.readDat(head[length:n], data.Len()-length)
}

// readDat reads what follows the tag: a head of so many bytes.
func (m *incoming) readDat(head []byte, total int) error {
	size, n := protowire.ConsumeVarint(head)
	if n < 0 || int(size) != total-n {
		return errors.New("length of a DAT is wrong")
	}
	for head = head[n:]; ; {
		field, kind, n := protowire.ConsumeTag(head)
		if n < 0 {
			return protowire.ParseError(n)
		}
		head = head[n:]
		if field == fieldPayload {
			size, n := protowire.ConsumeVarint(head)
			if n < 0 || len(head) < n+8 {
				return io.ErrUnexpectedEOF
			}
			m.size, m.number = int(size), binary.LittleEndian.Uint64(head[n:])
			return nil
		}
		if n = protowire.ConsumeFieldValue(field, kind, head); n < 0 {
			return protowire.ParseError(n)
		}
		head = head[n:]
	}
}
