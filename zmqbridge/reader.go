package zmqbridge

import (
	"errors"
	"sync/atomic"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/budget"
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
	socket     *socket
	vitals     *vitals
	stop       <-chan struct{} // closed when the connection is being ended
	single     bool            // messages have one part: those of CLIENTs
	maxMessage int             // bytes of payload
	tooLarge   *atomic.Uint64  // counts messages that are
	command    func(body []byte) error
	flush      func() // has a PONG written

	peer    *broker.Peer // attach sets these three
	account *budget.Account
	session *zmtp.Session // nil without CURVE
	pong    bool          // a PONG waits to be written

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

// attach has what comes go to a peer of the broker's. It is called before next.
func (r *reader) attach(p *broker.Peer, account *budget.Account, session *zmtp.Session) {
	r.peer, r.account, r.session = p, account, session
}

// begin takes over what came behind the handshake.
func (r *reader) begin(rest *unread) {
	if rest == nil {
		return
	}
	r.account.Add(int64(len(rest.slab.data)))
	r.slab, r.from, r.scanned, r.to = rest.slab.charged(r.account), rest.from, rest.from, rest.to
}

// uncork has what was delivered written, and to the peer itself a PONG: one for all the
// PINGs that came together.
func (r *reader) uncork() {
	r.peer.Uncork()
	if r.pong {
		r.pong = false
		r.flush()
	}
}

// fill waits for bytes.
func (r *reader) fill() error {
	for {
		n, err := r.socket.read(r.room, r.idle)
		switch {
		case err != nil:
			return err
		case n == 0: // there is something, and no room for it
			if err := r.makeRoom(); err != nil {
				return err
			}
			continue
		}
		r.vitals.read(n)
		r.burst += n
		if r.crypt.need > 0 {
			r.crypt.have += n
		} else {
			r.to += n
		}
		if r.crypt.need > 0 || r.rest > 0 {
			r.vitals.moved.Add(uint64(n))
		}
		return nil
	}
}

// makeRoom waits until there is room in the budget.
func (r *reader) makeRoom() error {
	if r.crypt.need > 0 {
		return r.growSealed(true)
	}
	return r.takeSlab(true)
}

// space returns memory to read into; nil if there is no room in the budget.
func (r *reader) space() []byte {
	if r.crypt.need > 0 {
		return r.spaceSealed()
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
	account, current := r.account, r.current(false)
	if current >= earlyFrom && r.peer.Idle() {
		account, current = r.peer.Early(), budget.NoFree
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
func (r *reader) await(account *budget.Account, size, current int64) bool {
	r.uncork()
	if current != budget.NoFree {
		current = r.current(true) // nobody would be left to make room for the last slab
	}
	r.vitals.pauseReading()
	defer r.vitals.resumeReading()
	return account.Charge(size, current, r.stop)
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
		r.message = newMessage(r.single)
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

// spaceSealed returns memory for the rest of a large frame; nil if the budget has no room.
func (r *reader) spaceSealed() []byte {
	c := &r.crypt
	if c.have == len(c.sealed.data) {
		if r.growSealed(false) != nil {
			return nil
		}
	}
	return c.sealed.data[c.have:min(c.need, len(c.sealed.data))]
}

// growSealed goes on in more memory: four times as much, or what is needed.
func (r *reader) growSealed(wait bool) error {
	c := &r.crypt
	to, err := r.charged(min(c.need, max(4*c.have, slabSizes[classBurst])), wait)
	if err != nil {
		return err
	}
	if c.sealed != nil {
		copy(to.data, c.sealed.data[:c.have])
		c.sealed.release()
	}
	c.sealed = to
	return nil
}
