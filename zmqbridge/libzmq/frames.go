//go:build cgo && libzmq

package libzmq

/*
#include <stdlib.h>
#include "wire.h"

#cgo noescape frames_close
#cgo nocallback frames_close
#cgo noescape frames_add
#cgo nocallback frames_add
#cgo noescape frames_split
#cgo nocallback frames_split
*/
import "C"

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"github.com/zioflow/gateway/broker/zio"
)

// frames is a ZIO message in the parts in which libzmq delivered it, or in
// which it is to be sent: one part in the single-part form, or a delimiter, the
// prefix, the coord and every payload part. They are read and sent on where
// libzmq put them: see wire.h. What Message aliases is valid until the frames are
// sent or released.
type frames struct {
	zio.Message
	refs   zio.Refs
	c      *C.frames
	single bool
	// weight is the message's, once it is to be sent.
	weight int64
	parts  [][]byte // room for the parts' bytes
}

// framesPool keeps empty framesPool. Each has its C struct for as long as it lives.
var framesPool = sync.Pool{New: func() any {
	c := C.frames_new()
	if c == nil {
		return (*frames)(nil)
	}
	p := &frames{c: c}
	runtime.AddCleanup(p, func(c *C.frames) { C.frames_free(c) }, c)
	return p
}}

func newFrames(single bool) (*frames, error) {
	p := framesPool.Get().(*frames)
	if p == nil {
		return nil, syscall.ENOMEM
	}
	p.single = single
	return p, nil
}

// Hold implements zio.Carrier.
func (p *frames) Hold() { p.refs.Hold() }

// Release implements zio.Carrier.
func (p *frames) Release() {
	if !p.refs.Drop() {
		return
	}
	C.frames_close(p.c)
	p.recycle()
}

// recycle keeps the struct, which is empty, for another message.
func (p *frames) recycle() {
	clear(p.parts)
	clear(p.Payload)
	p.Message = zio.Message{Payload: p.Payload[:0]}
	p.parts = p.parts[:0]
	framesPool.Put(p)
}

// count is how many parts there are, of which part is the bytes.
func (p *frames) count() int { return int(p.c.count) }

func (p *frames) part(i int) []byte {
	part := unsafe.Slice(p.c.parts, int(p.c.count))[i]
	return unsafe.Slice((*byte)(part.data), int(part.size))
}

// add adds a part of that size, for the caller to fill.
func (p *frames) add(size int) ([]byte, error) {
	data := C.frames_add(p.c, C.size_t(size))
	if data == nil {
		return nil, fmt.Errorf("message part of %d bytes: %w", size, syscall.ENOMEM)
	}
	return unsafe.Slice((*byte)(data), size), nil
}

// property returns what libzmq knows of a received message's connection, such
// as "Peer-Address"; empty if nothing.
func (p *frames) property(name string) string {
	key := C.CString(name)
	defer C.free(unsafe.Pointer(key))
	return C.GoString(C.frames_property(p.c, key))
}

// Of what a ROUTER receives, no more is kept than can be refused: a
// delimiter, prefix, coord and one payload part more than there may be.
var _ [0]struct{} = [C.MAX_PARTS - (3 + zio.MaxParts + 1)]struct{}{}

var errDelimiter = errors.New("malformed message: an empty part must come first")

// open reads the ZIO message in frames that were received. After an error the
// frames are released.
func (p *frames) open() (*zio.Message, error) {
	if err := p.decode(); err != nil {
		p.Release()
		return nil, err
	}
	p.Carry(p)
	return &p.Message, nil
}

func (p *frames) decode() error {
	if p.single {
		return p.Decode(p.part(0))
	}
	if len(p.part(0)) != 0 { // MSG-9
		return errDelimiter
	}
	for i := 1; i < p.count(); i++ {
		p.parts = append(p.parts, p.part(i))
	}
	return p.DecodeParts(p.parts)
}

// wrap is the message as a SERVER sends it, in one part, or a ROUTER, in many. It
// takes the message over: one that came in that form, and that nobody else holds, is passed
// on as it is.
func wrap(m *zio.Message, single bool) (*frames, error) {
	from, mine := m.Carrier().(*frames)
	mine = mine && !from.refs.Shared() // what libzmq sends it takes
	weight := int64(m.Weight())
	if mine && from.single == single {
		from.weight = weight
		return from, nil
	}
	p, err := newFrames(single)
	if err != nil {
		m.Release()
		return nil, err
	}
	p.weight = weight
	switch {
	case single:
		err = p.encode(m)
	case mine && m == &from.Message:
		err = p.split(m, from)
	default:
		err = p.encodeParts(m)
	}
	m.Release()
	if err != nil {
		p.Release()
		return nil, err
	}
	return p, nil
}

func (p *frames) encode(m *zio.Message) error {
	b, err := p.add(m.EncodedSize())
	if err == nil {
		m.AppendEncoded(b[:0])
	}
	return err
}

func (p *frames) encodeParts(m *zio.Message) error {
	if _, err := p.add(0); err != nil {
		return err
	}
	prefix, err := p.add(m.PrefixSize())
	if err != nil {
		return err
	}
	m.AppendPrefix(prefix[:0])
	coord, err := p.add(coordSize)
	if err != nil {
		return err
	}
	m.AppendCoord(coord[:0])
	for i := range m.Parts() {
		part := m.Part(i)
		b, err := p.add(part.Len())
		if err != nil {
			return err
		}
		part.AppendTo(b[:0])
	}
	return nil
}

const coordSize = 24

// split is encodeParts for a message that came in the single-part form, of which it
// copies only what is small.
func (p *frames) split(m *zio.Message, from *frames) error {
	prefix, ok := from.prefix()
	if !ok { // the label is another than the one that came
		return p.encodeParts(m)
	}
	var (
		room   [8]C.slice // stays on the stack for most messages
		coord  [coordSize]byte
		slices = append(room[:0], slice(prefix))
	)
	for _, part := range m.Payload {
		slices = append(slices, slice(part))
	}
	m.AppendCoord(coord[:0])
	e := C.frames_split(p.c, from.c, unsafe.Pointer(&coord), coordSize, &slices[0], C.int(len(slices)))
	if e != 0 {
		return fmt.Errorf("message of %d parts: %w", len(slices)+1, syscall.Errno(e))
	}
	return nil
}

// prefix returns the prefix part where it lies in a message that came in the single-part
// form; false if the label is not the one in it any more.
func (p *frames) prefix() ([]byte, bool) {
	b := p.part(0)
	size, b := int(b[0]), b[1:]
	if size == 0xff {
		size, b = int(binary.BigEndian.Uint32(b)), b[4:]
	}
	prefix := b[:size:size]
	return prefix, size == p.PrefixSize() && bytes.HasSuffix(prefix, p.Label)
}

func slice(b []byte) C.slice {
	return C.slice{data: unsafe.Pointer(unsafe.SliceData(b)), size: C.size_t(len(b))}
}
