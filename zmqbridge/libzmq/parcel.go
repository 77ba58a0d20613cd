//go:build cgo && libzmq

package libzmq

/*
#include <stdlib.h>
#include "wire.h"

#cgo noescape parcel_close
#cgo nocallback parcel_close
#cgo noescape parcel_add
#cgo nocallback parcel_add
#cgo noescape parcel_cut
#cgo nocallback parcel_cut
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"github.com/zioflow/gateway/broker/zio"
)

// parcel is a ZIO message in the parts in which libzmq delivered it, or in
// which it is to be sent: one part in the single-part form, or a delimiter, the
// prefix, the coord and every payload part. They are read and sent on where
// libzmq put them: see wire.h. What Message aliases is valid until the parcel is
// sent or released.
type parcel struct {
	zio.Message
	c      *C.parcel
	single bool
	// weight is the message's, once it is to be sent.
	weight int64
	parts  [][]byte // room for the parts' bytes
}

// parcels keeps empty parcels. Each has its C struct for as long as it lives.
var parcels = sync.Pool{New: func() any {
	c := C.parcel_new()
	if c == nil {
		return (*parcel)(nil)
	}
	p := &parcel{c: c}
	runtime.AddCleanup(p, func(c *C.parcel) { C.parcel_free(c) }, c)
	return p
}}

func newParcel(single bool) (*parcel, error) {
	p := parcels.Get().(*parcel)
	if p == nil {
		return nil, syscall.ENOMEM
	}
	p.single = single
	return p, nil
}

// Release implements zio.Carrier.
func (p *parcel) Release() {
	C.parcel_close(p.c)
	p.recycle()
}

// recycle keeps the parcel, which is empty, for another message.
func (p *parcel) recycle() {
	clear(p.parts)
	clear(p.Payload)
	p.Message = zio.Message{Payload: p.Payload[:0]}
	p.parts = p.parts[:0]
	parcels.Put(p)
}

// count is how many parts there are, of which part is the bytes.
func (p *parcel) count() int { return int(p.c.count) }

func (p *parcel) part(i int) []byte {
	part := unsafe.Slice(p.c.parts, int(p.c.count))[i]
	return unsafe.Slice((*byte)(part.data), int(part.size))
}

// add adds a part of that size, for the caller to fill.
func (p *parcel) add(size int) ([]byte, error) {
	data := C.parcel_add(p.c, C.size_t(size))
	if data == nil {
		return nil, fmt.Errorf("message part of %d bytes: %w", size, syscall.ENOMEM)
	}
	return unsafe.Slice((*byte)(data), size), nil
}

// property answers what libzmq knows of a received message's connection, such
// as "Peer-Address"; empty if nothing.
func (p *parcel) property(name string) string {
	key := C.CString(name)
	defer C.free(unsafe.Pointer(key))
	return C.GoString(C.parcel_property(p.c, key))
}

// Of what a ROUTER receives, the parcel keeps no more than can be refused: a
// delimiter, prefix, coord and one payload part more than there may be.
var _ [0]struct{} = [C.MOST - (3 + zio.MaxParts + 1)]struct{}{}

var errDelimiter = errors.New("malformed message: an empty part must come first")

// open reads the ZIO message in a parcel that was received. After an error the
// parcel is released.
func (p *parcel) open() (*zio.Message, error) {
	if err := p.decode(); err != nil {
		p.Release()
		return nil, err
	}
	p.Carry(p)
	return &p.Message, nil
}

func (p *parcel) decode() error {
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
// takes the message over: one that came in that form is passed on as it is.
func wrap(m *zio.Message, single bool) (*parcel, error) {
	from, mine := m.Carrier().(*parcel)
	weight := int64(m.Weight())
	if mine && from.single == single {
		from.weight = weight
		return from, nil
	}
	p, err := newParcel(single)
	if err != nil {
		m.Release()
		return nil, err
	}
	p.weight = weight
	switch {
	case single:
		err = p.encode(m)
	case mine && m == &from.Message && len(m.Label) > 0:
		err = p.cut(m, from)
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

func (p *parcel) encode(m *zio.Message) error {
	b, err := p.add(m.EncodedSize())
	if err == nil {
		m.AppendEncoded(b[:0])
	}
	return err
}

func (p *parcel) encodeParts(m *zio.Message) error {
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

// cut is encodeParts for a message in a parcel of the single-part form, of which
// it copies only what is small.
func (p *parcel) cut(m *zio.Message, from *parcel) error {
	var (
		room   [8]C.slice // stays on the stack for most messages
		coord  [coordSize]byte
		slices = append(room[:0], slice(prefixOf(m)))
	)
	for _, part := range m.Payload {
		slices = append(slices, slice(part))
	}
	m.AppendCoord(coord[:0])
	e := C.parcel_cut(p.c, from.c, unsafe.Pointer(&coord), coordSize, &slices[0], C.int(len(slices)))
	if e != 0 {
		return fmt.Errorf("message of %d parts: %w", len(slices)+1, syscall.Errno(e))
	}
	return nil
}

// prefixOf is the prefix part of a message that was decoded: its label and what
// lies in front of that.
func prefixOf(m *zio.Message) []byte {
	head := m.PrefixSize() - len(m.Label)
	start := unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.Label)), -head)
	return unsafe.Slice((*byte)(start), m.PrefixSize())
}

func slice(b []byte) C.slice {
	return C.slice{data: unsafe.Pointer(unsafe.SliceData(b)), size: C.size_t(len(b))}
}
