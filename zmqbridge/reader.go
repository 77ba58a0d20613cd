package zmqbridge

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// Limits of what a peer sends.
const (
	// headRoom is how much longer than its payload a message may be: its label and
	// the lengths of its parts.
	headRoom = zio.MaxLabel + 64<<10

	// maxFrames is how many frames a message may have: one more payload part than
	// can be refused by the broker.
	maxFrames = 3 + zio.MaxParts + 1

	// maxCommand bounds a command, in bytes. PING and PONG are far below.
	maxCommand = 1 << 10

	// ownBelow is the size of a frame, in bytes, from which on it is read into slabs
	// of its own instead of the one that messages share.
	ownFrom = 32 << 10

	// skipFactor is how many times the largest message may be skipped, before the
	// connection of who sent it is closed.
	skipFactor = 4
)

// reader turns what a connection sends into messages. It belongs to the
// connection's goroutine.
//
// Small frames lie in a slab that many messages share; of a large one the rest that
// has not been read yet goes to slabs of its own, which are taken as bytes come.
type reader struct {
	conn *conn

	// slab holds bytes that were read: those in [from, to) have not become part of a
	// message. nil while there are none and nothing is being read.
	slab     *slab
	from, to int
	scanned  int // from here on frames have not been looked at
	burst    int // bytes read since the connection was last idle

	message *message // of which frames have come; nil between messages
	rest    uint64   // bytes of a large frame that have not come
	more    bool     // and whether another one follows it
	skip    uint64   // bytes of a frame that is not kept
	skipped uint64   // in all, of the present message
	tooLong string   // why the present message is not kept; empty if it is kept

	room  func() []byte // space, and idle releaseIdle: made once
	idle  func()
	crypt crypt
}

var errStopped = errors.New("the connection is being ended")

func (r *reader) prepare() { r.room, r.idle = r.space, r.releaseIdle }

// next waits for bytes, and has the broker see the messages in them.
func (r *reader) next() error {
	if err := r.fill(); err != nil {
		return err
	}
	return r.look()
}

// look has the broker see the messages in what has been read.
func (r *reader) look() error {
	r.conn.peer.Cork()
	err := r.scan()
	r.uncork()
	return err
}

// uncork has what was delivered written, and to the peer itself a PONG: one for all the
// PINGs that came together.
func (r *reader) uncork() {
	r.conn.peer.Uncork()
	if r.conn.pongPending {
		r.conn.pongPending = false
		r.conn.out.Flush()
	}
}

// fill waits for bytes.
func (r *reader) fill() error {
	for {
		n, err := r.conn.socket.read(r.room, r.idle)
		switch {
		case err != nil:
			return err
		case n == 0: // there is something, and no room for it
			if err := r.makeRoom(); err != nil {
				return err
			}
			continue
		}
		r.conn.read(n)
		r.burst += n
		if r.crypt.need > 0 {
			r.crypt.have += n
		} else {
			r.to += n
		}
		if r.crypt.need > 0 || r.rest > 0 {
			r.conn.moved.Add(uint64(n))
		}
		return nil
	}
}

// makeRoom waits until there is room in the budget.
func (r *reader) makeRoom() error {
	if r.crypt.need > 0 {
		return r.crypt.grow(r, true)
	}
	return r.takeSlab(true)
}

// space returns memory to read into; nil if there is no room in the budget.
func (r *reader) space() []byte {
	if r.crypt.need > 0 {
		return r.crypt.space(r)
	}
	if r.slab == nil || r.to == len(r.slab.data) {
		if r.takeSlab(false) != nil {
			return nil
		}
	}
	b := r.slab.data[r.to:]
	if r.rest > 0 && uint64(len(b)) > r.rest {
		b = b[:r.rest] // what comes behind a large frame does not go into its slabs
	}
	return b
}

// takeSlab takes a slab to read into, charged to the peer's account, and moves what
// is unfinished to it. Unless it may wait it fails where the budget has no room.
func (r *reader) takeSlab(wait bool) error {
	class := r.nextClass()
	if r.reuseSlab(class) {
		return nil
	}
	s, err := r.charged(slabSizes[class], wait)
	if err == nil {
		r.move(s)
	}
	return err
}

// earlyFrom is how much of a message a peer without a flow may send on its own account,
// in bytes: the rest of a larger one is charged to what all such peers share.
const earlyFrom = 1 << 20

// charged is a slab for n bytes, charged to the peer's account.
func (r *reader) charged(n int, wait bool) (*slab, error) {
	account, current := r.conn.account, r.current(false)
	if current >= earlyFrom && r.conn.peer.Idle() {
		account, current = r.conn.peer.Early(), broker.NoFree
	}
	size := int64(n)
	if class, ok := slabClass(n); ok {
		size = int64(slabSizes[class])
	}
	if !account.TryCharge(size, current) && (!wait || !r.await(account, size, current)) {
		return nil, errStopped
	}
	return newSlabFor(n).charged(account), nil
}

// await waits until there is room in the budget, or the connection is being ended.
// What the peer has had delivered does not wait with it: the room may have to come
// from that. The peer is not corked afterwards.
func (r *reader) await(account *broker.ByteAccount, size, current int64) bool {
	r.uncork()
	if current != broker.NoFree {
		current = r.current(true) // nobody would be left to make room for the last slab
	}
	r.conn.pauseReading()
	defer r.conn.resumeReading()
	return account.Charge(size, current, r.conn.stop)
}

// reuseSlab uses the present slab from its beginning, if no message lies in it any more.
func (r *reader) reuseSlab(class int) bool {
	s := r.slab
	if s == nil || s.class < class || s.class > classBurst || s.refs.Load() > 1 || r.rest > 0 || r.to-r.from > len(s.data)/2 {
		return false
	}
	n := copy(s.data, s.data[r.from:r.to])
	r.scanned -= r.from
	r.from, r.to = 0, n
	return true
}

// nextClass is how large a slab to take.
func (r *reader) nextClass() int {
	switch {
	case r.rest > 0 && r.slab != nil && r.slab.class > classSmall:
		return min(r.slab.class+1, classLargest, max(classBurst, restClass(r.rest)))
	case r.rest > 0:
		return classBurst
	case r.to-r.from > slabSizes[classSmall]/2 || r.burst >= slabSizes[classSmall]:
		return classBurst
	default:
		return classSmall
	}
}

// restClass is the smallest class that holds the rest of a frame.
func restClass(n uint64) int {
	for class := range classLargest {
		if n <= uint64(slabSizes[class]) {
			return class
		}
	}
	return classLargest
}

// current is what the message that is being read has in the account: with the slab
// that is being read into if nothing else lies in it, or with what is shared.
func (r *reader) current(shared bool) int64 {
	var n int64
	var last *slab
	if r.message != nil {
		for _, s := range r.message.wire {
			if s.slab != last && s.slab.account != nil {
				n += int64(len(s.slab.data))
			}
			last = s.slab
		}
	}
	if r.slab != nil && r.slab != last && (shared || r.slab.refs.Load() == 1) {
		n += int64(len(r.slab.data))
	}
	return n + r.crypt.held()
}

// move goes on in another slab. What lies unfinished in the present one is copied, or
// becomes part of the message where that is much.
func (r *reader) move(to *slab) {
	if r.slab == nil {
		r.slab, r.from, r.to, r.scanned = to, 0, 0, 0
		return
	}
	if kept := r.scanned - r.from; kept > ownFrom/2 || r.rest > 0 {
		r.keep(r.scanned)
	}
	n := copy(to.data, r.slab.data[r.from:r.to])
	r.slab.release()
	r.scanned -= r.from
	r.slab, r.from, r.to = to, 0, n
}

// keep makes the bytes up to there part of the message.
func (r *reader) keep(to int) {
	r.building().add(r.slab, r.slab.data[r.from:to])
	r.from = to
}

func (r *reader) building() *message {
	if r.message == nil {
		r.message = newMessage(r.conn.endpoint.single())
	}
	return r.message
}

// releaseIdle gives the slab back if nothing lies in it: an idle connection holds none.
func (r *reader) releaseIdle() {
	if r.slab != nil && r.from == r.to && r.rest == 0 {
		r.releaseSlab()
	}
	r.burst = 0
}

// releaseSlab gives the slab up, of which nothing is needed any more but by messages.
func (r *reader) releaseSlab() {
	r.slab.release()
	r.slab, r.from, r.to, r.scanned = nil, 0, 0, 0
}

// drop releases all that was read.
func (r *reader) drop() {
	if r.message != nil {
		r.message.Release()
		r.message = nil
	}
	if r.slab != nil {
		r.slab.release()
		r.slab = nil
	}
	r.crypt.drop()
}

// scan looks at the bytes that have come.
func (r *reader) scan() error {
	for {
		switch {
		case r.crypt.need > 0:
			if r.crypt.have < r.crypt.need {
				return nil
			}
			if err := r.crypt.whole(r); err != nil {
				return err
			}
		case r.skip > 0:
			n := min(r.skip, uint64(r.to-r.from))
			r.skip -= n
			r.from += int(n)
			r.scanned = r.from
			if r.skip > 0 {
				return nil
			}
			r.frameSkipped()
		case r.rest > 0:
			n := min(r.rest, uint64(r.to-r.scanned))
			r.rest -= n
			r.scanned += int(n)
			if r.rest > 0 {
				return nil
			}
			r.keep(r.scanned)
			if r.slab.class > classBurst {
				r.releaseSlab() // what comes next is small and would keep all of it
			}
			r.frameDone(r.more)
		default:
			if r.slab == nil {
				return nil
			}
			done, err := r.frame()
			if !done || err != nil {
				return err
			}
		}
	}
}

// frame looks at the frame that begins where scanned is; false if more bytes are
// needed.
func (r *reader) frame() (bool, error) {
	b := r.slab.data[r.scanned:r.to]
	h, n, err := zmtp.ParseHeader(b)
	if err != nil || n == 0 {
		return false, err
	}
	if r.conn.session != nil {
		return r.sealed(h, n)
	}
	if h.Command {
		return r.command(h, n)
	}
	if done, err := r.tooMuch(h, n); done || err != nil {
		return done, err
	}
	r.building().frames++
	whole := uint64(n) + h.Size
	if whole <= uint64(len(b)) {
		r.scanned += int(whole)
		if !h.More {
			r.keep(r.scanned)
		}
		r.frameDone(h.More)
		return true, nil
	}
	if h.Size < ownFrom || len(b) < n+enoughToTell {
		r.message.frames--
		return false, nil // until it is whole, or tells enough; takeSlab sees that there is room
	}
	if r.unwanted(b[n:]) {
		r.pass(h, n)
		return true, nil
	}
	r.rest, r.more = whole-uint64(len(b)), h.More
	r.scanned = r.to
	if r.to-r.from >= copyBelow {
		r.keep(r.to)
		r.releaseSlab()
	}
	return false, nil
}

// tooMuch begins to skip a message that is larger than allowed, as soon as that is
// announced; no byte of it is kept any more.
func (r *reader) tooMuch(h zmtp.Header, n int) (bool, error) {
	if r.tooLong == "" {
		r.tooLong = r.problem(h)
		if r.tooLong == "" {
			return false, nil
		}
		r.conn.endpoint.stats.tooLarge.Add(1)
		r.conn.peer.TooLarge(r.tooLong)
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
func (r *reader) most() uint64 { return uint64(r.conn.endpoint.options.MaxMessage) + headRoom }

// problem says what is too large about the message, of which that frame comes next;
// empty if nothing is.
func (r *reader) problem(h zmtp.Header) string {
	size, frames := uint64(r.scanned-r.from), 0
	if r.message != nil {
		size, frames = size+uint64(r.message.size), r.message.frames
	}
	switch {
	case size+h.Size > r.most():
		return fmt.Sprintf("the message has %d bytes or more, %d are allowed", size+h.Size, r.conn.endpoint.options.MaxMessage)
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
		r.conn.peer.Malformed(err)
		return
	}
	r.conn.peer.Receive(opened)
}

// command deals with a command frame.
func (r *reader) command(h zmtp.Header, n int) (bool, error) {
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
	return true, r.conn.command(body)
}

// keepBefore keeps the frames of an unfinished message that lie in front of a
// command.
func (r *reader) keepBefore() {
	if r.scanned > r.from {
		r.keep(r.scanned)
	}
}

// protocolFault is for what a connection is ended.
type protocolFault struct {
	cause  cause
	detail string
}

func (p *protocolFault) Error() string { return p.detail }

// cutFor ends the connection because of an error of reading from it.
func (c *conn) cutFor(err error) {
	if fault, ok := errors.AsType[*protocolFault](err); ok {
		c.log(slog.LevelInfo, "protocol", "connection ended", "cause", string(fault.cause), "detail", fault.detail)
		c.cutFlow(fault.cause, flow.ProtocolError, fault.detail)
		return
	}
	if fault, ok := errors.AsType[*zmtp.Error](err); ok {
		c.log(slog.LevelInfo, "protocol", "connection ended", "cause", string(causeProtocol), "detail", fault.Detail)
		c.cutFlow(causeProtocol, flow.ProtocolError, fault.Detail)
		return
	}
	if errors.Is(err, io.EOF) {
		c.cut(causeGone, "connection closed")
		return
	}
	c.cut(causeGone, "connection lost: "+reasonOf(err))
}
