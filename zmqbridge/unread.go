package zmqbridge

// unread is memory for a handshake: a slab while there is something in it.
type unread struct {
	slab     *slab
	from, to int
}

func (u *unread) bytes() []byte {
	if u.slab == nil {
		return nil
	}
	return u.slab.data[u.from:u.to]
}

func (u *unread) space() []byte {
	switch {
	case u.slab == nil:
		u.slab = newSlab(classSmall)
	case u.from == u.to:
		u.from, u.to = 0, 0
	case u.to == len(u.slab.data):
		u.from, u.to = 0, copy(u.slab.data, u.bytes())
	}
	return u.slab.data[u.to:]
}

func (u *unread) idle() {
	if u.from == u.to {
		u.drop()
	}
}

func (u *unread) drop() {
	if u.slab != nil {
		u.slab.release()
		u.slab, u.from, u.to = nil, 0, 0
	}
}
