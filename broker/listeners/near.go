package listeners

import (
	"cmp"
	"maps"
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

// ListNear is List without the far ones.
func (r *Registry) ListNear() []Info {
	r.mu.Lock()
	all := slices.Collect(maps.Values(r.near))
	r.mu.Unlock()
	return described(all)
}

// described describes listeners in the order of registration.
func described(all []*Listener) []Info {
	infos := make([]Info, len(all))
	for i, l := range all {
		l.group.mu.Lock()
		busy := l.busy
		l.group.mu.Unlock()
		infos[i] = l.info(busy)
	}
	slices.SortFunc(infos, func(a, b Info) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}

// Crossings receives when listeners, far ones left out, have become idle or full, or are so no
// more: TakeCrossed tells which. It is for one who asks.
func (r *Registry) Crossings() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.crossings == nil {
		r.crossings, r.crossed = make(chan struct{}, 1), map[*Listener]struct{}{}
	}
	return r.crossings
}

// TakeCrossed describes those that have done so since it was called last, and are still
// registered, as they are now.
func (r *Registry) TakeCrossed() []Info {
	r.mu.Lock()
	all := slices.Collect(maps.Keys(r.crossed))
	clear(r.crossed)
	r.mu.Unlock()
	return described(all)
}

// noteCrossed takes note of one. Its group is locked.
func (r *Registry) noteCrossed(l *Listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.crossed == nil || r.near[l.id] != l {
		return
	}
	r.crossed[l] = struct{}{}
	select {
	case r.crossings <- struct{}{}:
	default:
	}
}

// occupy counts flows that the listener has got, or has no more. group.mu is held.
func (l *Listener) occupy(flows int) {
	idle, full := l.busy == 0, l.spec.MaxFlows > 0 && l.busy >= l.spec.MaxFlows
	l.busy += flows
	if !l.far() && (idle != (l.busy == 0) || full != (l.spec.MaxFlows > 0 && l.busy >= l.spec.MaxFlows)) {
		l.registry.noteCrossed(l)
	}
}
