package zmqbridge

import "github.com/zioflow/gateway/zmtp"

// next waits for bytes, and has the broker see the messages in them.
func (r *reader) next() error {
	if err := r.fill(); err != nil {
		return err
	}
	return r.look()
}

// look has the broker see the messages in what has been read.
func (r *reader) look() error {
	r.peer.Cork()
	err := r.scan()
	r.uncork()
	return err
}

// scan looks at the bytes that have come.
func (r *reader) scan() error {
	for {
		switch {
		case r.crypt.need > 0:
			if r.crypt.have < r.crypt.need {
				return nil
			}
			if err := r.wholeSealed(); err != nil {
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
	if r.session != nil {
		return r.sealed(h, n)
	}
	if h.Command {
		return r.commandFrame(h, n)
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

// unwanted tells whether a large frame begins, or goes on, a message that the peer has no
// use for: it takes part in no flow, and this is no BOT, or no ZIO message at all. Such a
// message is answered as it always is, and not kept. It is decided by what lies in the
// slab; where that is too little to tell, the message is wanted.
func (r *reader) unwanted(body []byte) bool {
	if !r.peer.Idle() || r.message != nil && len(r.message.wire) > 0 {
		return false
	}
	m, err := tell(r.single, body, r.slab.data[r.from:r.to])
	switch {
	case err != nil:
		r.peer.Malformed(err)
	case m != nil:
		r.peer.Receive(m)
	default:
		return false
	}
	return true
}
