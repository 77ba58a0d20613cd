package routing

// announcements are the routes that are announced. That one comes or goes costs the same
// however many there are, but for what the next look makes up for. It is not for concurrent
// use.
type announcements struct {
	byName map[string]*Entry
	// near and far are those of this node and those that are at others alone, by age.
	// Arrangements have them as well: they are appended to or replaced, never changed. Some
	// may be withdrawn, and moved ones stand where they stood before.
	near, far []*Entry
	withdrawn int
	moved     bool
}

// withdrawnShare is which part of the entries may be withdrawn ones, of which nobody is
// found any more.
const withdrawnShare = 8

// add takes in an entry that is younger than all others.
func (a *announcements) add(e *Entry) {
	if a.byName == nil {
		a.byName = map[string]*Entry{}
	}
	a.byName[e.Name] = e
	if e.far = e.announced.Far(); e.far {
		a.far = append(a.far, e)
	} else {
		a.near = append(a.near, e)
	}
}

// place sees whether an entry has to stand among the others now, and returns whether so.
func (a *announcements) place(e *Entry) (moved bool) {
	far := e.announced.Far()
	moved, e.far = e.far != far, far
	a.moved = a.moved || moved
	return moved
}

// withdraw takes an entry out.
func (a *announcements) withdraw(e *Entry) {
	delete(a.byName, e.Name)
	e.withdrawn = true
	a.withdrawn++
}

// settle puts every entry in its place.
func (a *announcements) settle() {
	if !a.moved && a.withdrawn*withdrawnShare <= len(a.near)+len(a.far) {
		return
	}
	var near, far []*Entry
	for left, right := a.near, a.far; len(left)+len(right) > 0; {
		from := &left
		if len(left) == 0 || len(right) > 0 && right[0].born < left[0].born {
			from = &right
		}
		switch e := (*from)[0]; {
		case e.withdrawn:
		case e.far:
			far = append(far, e)
		default:
			near = append(near, e)
		}
		*from = (*from)[1:]
	}
	a.near, a.far, a.withdrawn, a.moved = near, far, 0, false
}
