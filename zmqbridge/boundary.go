package zmqbridge

import (
	"fmt"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// tooMuch begins to skip a message that is larger than allowed, as soon as that is
// announced; no byte of it is kept any more.
func (r *reader) tooMuch(h zmtp.Header, n int) (bool, error) {
	if r.tooLong == "" {
		r.tooLong = r.problem(h)
		if r.tooLong == "" {
			return false, nil
		}
		r.tooLarge.Add(1)
		r.peer.TooLarge(r.tooLong)
	}
	r.pass(h, n)
	if r.skipped > skipFactor*r.most() {
		return true, &protocolFault{causeTooLarge, r.tooLong + "; the connection is closed, since so much more would have to be read"}
	}
	if r.skip == 0 {
		r.frameSkipped()
	}
	return true, nil
}

// pass begins to skip a frame, with its header of n bytes, and those of its message that
// lie in front of it.
func (r *reader) pass(h zmtp.Header, n int) {
	if r.message != nil {
		r.message.Release()
		r.message = nil
	}
	if r.tooLong == "" {
		r.tooLong = "unwanted"
	}
	r.skip, r.more = h.Size, h.More
	r.skipped += uint64(n) + h.Size
	r.scanned += n
	r.from = r.scanned
}

// most is how many bytes a message may have on the wire.
func (r *reader) most() uint64 { return uint64(r.maxMessage) + headRoom }

// problem says what is too large about the message, of which that frame comes next;
// empty if nothing is.
func (r *reader) problem(h zmtp.Header) string {
	size, frames := uint64(r.scanned-r.from), 0
	if r.message != nil {
		size, frames = size+uint64(r.message.size), r.message.frames
	}
	switch {
	case size+h.Size > r.most():
		return fmt.Sprintf("the message has %d bytes or more, %d are allowed", size+h.Size, r.maxMessage)
	case frames >= maxFrames:
		return fmt.Sprintf("the message has more than %d parts", zio.MaxParts)
	}
	return ""
}

// frameSkipped goes on behind a frame that was not kept.
func (r *reader) frameSkipped() {
	if !r.more {
		r.tooLong, r.skipped = "", 0
	}
}

// frameDone has the broker see a message whose last frame has come.
func (r *reader) frameDone(more bool) {
	if more {
		return
	}
	m := r.message
	r.message = nil
	if m.single && m.frames == 1 && m.size == 2 { // a header alone: says nothing (MSG-10)
		m.Release()
		return
	}
	opened, err := m.open()
	if err != nil {
		m.Release()
		r.peer.Malformed(err)
		return
	}
	r.peer.Receive(opened)
}

// commandFrame deals with a command frame.
func (r *reader) commandFrame(h zmtp.Header, n int) (bool, error) {
	if h.Size > maxCommand {
		return false, &protocolFault{causeProtocol, fmt.Sprintf("a command has %d bytes, %d are allowed", h.Size, maxCommand)}
	}
	end := r.scanned + n + int(h.Size)
	if end > r.to {
		return false, nil
	}
	body := r.slab.data[r.scanned+n : end]
	r.keepBefore()
	r.scanned, r.from = end, end
	return true, r.command(body)
}

// keepBefore keeps the frames of an unfinished message that lie in front of a
// command.
func (r *reader) keepBefore() {
	if r.scanned > r.from {
		r.keep(r.scanned)
	}
}
