package zmqbridge

import (
	"fmt"
	"sync"

	"github.com/zioflow/gateway/broker/zio"
)

// parcel is a ZIO message in the frames in which libzmq delivered it, or in
// which it is to be sent: one frame in the single-part form, or one for the
// prefix, the coord and every payload part.
type parcel struct {
	zio.Message
	frames []*frame
	single bool
	// payload is the message's payload bytes, where somebody wants to know.
	payload int64
}

var parcels = sync.Pool{New: func() any { return new(parcel) }}

func newParcel(single bool) *parcel {
	p := parcels.Get().(*parcel)
	p.single = single
	return p
}

// Release implements zio.Carrier.
func (p *parcel) Release() {
	closeAll(p.frames)
	p.recycle()
}

// recycle keeps the parcel for another message, its frames being used up.
func (p *parcel) recycle() {
	clear(p.frames)
	clear(p.Payload)
	p.Message = zio.Message{Payload: p.Payload[:0]}
	p.frames = p.frames[:0]
	p.payload = 0
	parcels.Put(p)
}

// openSingle reads the message in a SERVER's frame, which it takes over.
func openSingle(f *frame) (*zio.Message, error) {
	p := newParcel(true)
	p.frames = append(p.frames, f)
	if err := p.Decode(f.bytes); err != nil {
		p.Release()
		return nil, err
	}
	p.Carry(p)
	return &p.Message, nil
}

// openParts reads the message in the frames that follow a ROUTER's delimiter,
// and takes them over.
func openParts(frames []*frame) (*zio.Message, error) {
	p := newParcel(false)
	p.frames = append(p.frames, frames...)
	parts := make([][]byte, 0, 8) // stays on the stack for most messages
	for _, f := range frames {
		parts = append(parts, f.bytes)
	}
	if err := p.DecodeParts(parts); err != nil {
		p.Release()
		return nil, err
	}
	p.Carry(p)
	return &p.Message, nil
}

func closeAll(frames []*frame) {
	for _, f := range frames {
		f.close()
	}
}

// wrapSingle is the message in the single-part form. A message that came in it
// is passed on as it is, any other is copied and released.
func wrapSingle(m *zio.Message) (*parcel, error) {
	if p, ok := m.Carrier().(*parcel); ok && p.single {
		return p, nil
	}
	defer m.Release()
	f, err := newFrame(m.EncodedSize())
	if err != nil {
		return nil, fmt.Errorf("message of %d bytes: %w", m.EncodedSize(), err)
	}
	m.AppendEncoded(f.bytes[:0])
	p := newParcel(true)
	p.frames = append(p.frames, f)
	return p, nil
}

// wrapParts is the message in the multi-part form; as wrapSingle.
func wrapParts(m *zio.Message) (*parcel, error) {
	if p, ok := m.Carrier().(*parcel); ok && !p.single {
		return p, nil
	}
	defer m.Release()
	p := newParcel(false)
	head := [...][]byte{m.AppendPrefix(make([]byte, 0, m.PrefixSize())), m.AppendCoord(make([]byte, 0, 24))}
	for i := range len(head) + m.Parts() {
		var part zio.Part
		if i < len(head) {
			part = head[i : i+1]
		} else {
			part = m.Part(i - len(head))
		}
		f, err := newFrame(part.Len())
		if err != nil {
			p.Release()
			return nil, fmt.Errorf("message part of %d bytes: %w", part.Len(), err)
		}
		part.AppendTo(f.bytes[:0])
		p.frames = append(p.frames, f)
	}
	return p, nil
}
