package listeners

import (
	"cmp"
	"slices"
)

// Near returns the listener of that number, unless it is a far one; nil if there is none.
func (r *Registry) Near(id uint64) *Listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.near[id]
}

// Count is how many are registered, far ones left out.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.near)
}

// Changes are signals for one who wants to know of each change of the listeners that are no far ones:
// came receives when some have come or left, crossed when some have become idle or full, or are so
// no more. TakeChanged tells which; at first it tells of all.
func (r *Registry) Changes() (came, crossed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = map[*Listener]struct{}{}
		r.came, r.crossed = make(chan struct{}, 1), make(chan struct{}, 1)
		for _, l := range r.near {
			r.changed[l] = struct{}{}
		}
	}
	return r.came, r.crossed
}

// TakeChanged describes those that have come, or have another number of flows, since it was called
// last, in the order of registration, and has the numbers of those that have left.
func (r *Registry) TakeChanged() (changed []Info, left []uint64) {
	r.mu.Lock()
	all := make([]*Listener, 0, len(r.changed))
	for l := range r.changed {
		if r.near[l.id] == l {
			all = append(all, l)
		} else {
			left = append(left, l.id)
		}
	}
	clear(r.changed)
	r.mu.Unlock()
	changed = make([]Info, len(all))
	for i, l := range all {
		changed[i] = l.info(l.look())
	}
	slices.SortFunc(changed, func(a, b Info) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(left)
	return changed, left
}

// look returns how many flows the listener has, and has the next change noted.
func (l *Listener) look() (flows int) {
	l.group.mu.Lock()
	defer l.group.mu.Unlock()
	l.noted = false
	return l.busy
}

// enter and leave take in a listener that is no far one, and out.
func (r *Registry) enter(l *Listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.near == nil {
		r.near = map[uint64]*Listener{}
	}
	r.near[l.id] = l
	r.note(l, r.came)
}

func (r *Registry) leave(l *Listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.near[l.id] == l {
		delete(r.near, l.id)
		r.note(l, r.came)
	}
}

// note takes note of a change, if anybody wants to know, and tells him if there is a signal. mu is
// held.
func (r *Registry) note(l *Listener, signal chan<- struct{}) {
	if r.changed == nil {
		return
	}
	r.changed[l] = struct{}{}
	if signal != nil {
		select {
		case signal <- struct{}{}:
		default:
		}
	}
}

// loaded takes note that a listener has another number of flows. Its group is locked.
func (r *Registry) loaded(l *Listener, crossed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.near[l.id] != l: // it has left, or is about to come
	case crossed:
		r.note(l, r.crossed)
	default:
		r.note(l, nil)
	}
}

// occupy counts flows that the listener has got, or has no more. group.mu is held.
func (l *Listener) occupy(flows int) {
	idle, full := l.busy == 0, l.spec.MaxFlows > 0 && l.busy >= l.spec.MaxFlows
	l.busy += flows
	if l.far() {
		return
	}
	crossed := idle != (l.busy == 0) || full != (l.spec.MaxFlows > 0 && l.busy >= l.spec.MaxFlows)
	if crossed || !l.noted {
		l.noted = true
		l.registry.loaded(l, crossed)
	}
}
