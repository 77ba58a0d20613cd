package listeners

import (
	"cmp"
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
)

// group is the listeners of one name. It shares their flows among them, the
// least busy first, and has each listener's slots waited for in order of coming. It
// asks no match: who waits says for whom.
type group struct {
	name  string
	entry *routing.Entry

	mu        sync.Mutex
	listeners []*Listener // guarded by mu; in order of registration, replaced whole
	near      int         // guarded by mu; how many of them are no far ones
}

// newGroup makes a group with the route that leads to it.
func newGroup(name string) *group {
	g := &group{name: name}
	g.entry = routing.NewAnnounced(
		routing.Route{Name: name, Match: groupMatch{g}, Factory: ToListeners{Name: name, group: g}}, g)
	return g
}

// groupMatch takes what one of the listeners takes.
type groupMatch struct{ *group }

// Match implements Match.
func (m groupMatch) Match(v *matching.View) bool {
	listeners, _ := m.snapshot()
	return slices.ContainsFunc(listeners, func(l *Listener) bool { return l.takes(v) })
}

// String is an expression that is true where one of the listeners' is.
func (m groupMatch) String() string {
	listeners, _ := m.snapshot()
	var texts []string
	for _, l := range listeners {
		text := matching.Text(l.spec.Match)
		if text == "" {
			return ""
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return "(" + strings.Join(texts, ") || (") + ")"
}

// snapshot returns the listeners, and how many flows each has. The slice of
// listeners is not to be changed.
func (g *group) snapshot() (listeners []*Listener, busy []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	busy = make([]int, len(g.listeners))
	for i, l := range g.listeners {
		busy[i] = l.busy + l.elsewhere
	}
	return g.listeners, busy
}

// Size implements routing.Announced.
func (g *group) Size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.listeners)
}

// Far implements routing.Announced.
func (g *group) Far() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.near == 0
}

// Takes implements routing.Announced: the matches of the listeners count, and what they
// may be told.
func (g *group) Takes(e *routing.Evaluation, asked uint64) (bool, error) {
	listeners, _ := g.snapshot()
	for _, l := range listeners {
		if l.born > asked && l.takenBy(e) {
			return true, nil
		}
		if err := e.Share(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// groupNamed is the listeners of a name; nil if there are none.
func groupNamed(t *routing.Table, name string) *group {
	g, _ := t.Announced(name).(*group)
	return g
}

// heldByAnother tells whether somebody listens under the name who is not of that
// identity.
func (g *group) heldByAnother(identity string) bool {
	listeners, _ := g.snapshot()
	return slices.ContainsFunc(listeners, func(l *Listener) bool { return l.spec.Peer.Name != identity })
}

func (g *group) add(l *Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listeners = append(slices.Clone(g.listeners), l)
	if !l.far() {
		g.near++
	}
}

// remove takes a listener out, for which nobody waits any more. It returns whether
// the group is empty now.
func (g *group) remove(l *Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listeners = slices.DeleteFunc(slices.Clone(g.listeners), func(other *Listener) bool { return other == l })
	l.left = true
	if !l.far() {
		g.near--
	}
	for l.waiting.Len() > 0 {
		w := l.waiting.Front().Value.(*waiter)
		w.leave(l)
		if len(w.queued) == 0 {
			w.turn <- nil
		}
	}
	return len(g.listeners) == 0
}

// waiter waits for a slot in one of some listeners.
type waiter struct {
	group *group
	// turn takes one listener, with a slot in it, or nil when all have left for whom
	// it waits.
	turn chan *Listener

	queued map[*Listener]*list.Element // guarded by group.mu; where it waits; empty when its turn has come
}

func (w *waiter) leave(l *Listener) {
	l.waiting.Remove(w.queued[l])
	delete(w.queued, l)
}

// serve gives it a slot in l. group.mu is held.
func (w *waiter) serve(l *Listener) {
	for other := range w.queued {
		w.leave(other)
	}
	l.occupy(1)
	w.turn <- l
}

// queue asks for a slot in one of the listeners; the turn comes at once if there is
// one, in the least busy of them.
func (g *group) queue(among []*Listener) *waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := &waiter{group: g, turn: make(chan *Listener, 1), queued: map[*Listener]*list.Element{}}
	g.wait(w, among)
	return w
}

// extend has a waiter wait for other listeners, too.
func (g *group) extend(w *waiter, among []*Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(w.queued) > 0 { // its turn has not come
		g.wait(w, among)
	}
}

// wait does so. g.mu is held.
func (g *group) wait(w *waiter, among []*Listener) {
	now := time.Now()
	var best *Listener
	for _, l := range among {
		if !l.left && !l.full() && (best == nil || l.compare(best, now) < 0) {
			best = l
		}
	}
	if best != nil {
		w.serve(best)
		return
	}
	for _, l := range among {
		if _, waits := w.queued[l]; !waits && !l.left {
			w.queued[l] = l.waiting.PushBack(w)
		}
	}
	if len(w.queued) == 0 {
		w.turn <- nil
	}
}

// compare orders listeners by whom the next flow goes to: those that let their
// offers lapse come last, far ones after the others, the least busy first. group.mu is held.
func (l *Listener) compare(other *Listener, now time.Time) int {
	late := func(l *Listener) int {
		if now.Before(l.lateUntil) {
			return 1
		}
		return 0
	}
	far := func(l *Listener) int {
		if l.far() {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(late(l), late(other)), cmp.Compare(far(l), far(other)),
		cmp.Compare(l.busy+l.elsewhere, other.busy+other.elsewhere))
}

// isLate tells whether l comes last, as it let offers lapse.
func (g *group) isLate(l *Listener, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return now.Before(l.lateUntil)
}

// unqueue takes a waiter out, and back the slot it may have been given.
func (g *group) unqueue(w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := range w.queued {
		w.leave(l)
	}
	select {
	case l := <-w.turn:
		if l != nil {
			g.free(l)
		}
	default:
	}
}

// release gives back a slot in l.
func (g *group) release(l *Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free(l)
}

// free gives the slot to who has waited for it longest. g.mu is held.
func (g *group) free(l *Listener) {
	l.occupy(-1)
	g.admit(l)
}

// admit gives l's slots to those who wait for one. g.mu is held.
func (g *group) admit(l *Listener) {
	for l.waiting.Len() > 0 && !l.full() {
		l.waiting.Front().Value.(*waiter).serve(l)
	}
}

// load is Listener.SetLoad.
func (g *group) load(l *Listener, flows int, held bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l.elsewhere, l.held = max(0, flows-l.busy), held
	g.admit(l)
}

// For how long a listener comes last that has let an offer lapse: longer each time
// that it does so again, until it takes one or declines it.
const (
	lateFor     = time.Minute
	lateForMost = 10 * time.Minute
)

// lapsed takes note of an offer that l let lapse, answered of one that it did not.
func (g *group) lapsed(l *Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l.lapses++
	l.lateUntil = time.Now().Add(min(time.Duration(l.lapses)*lateFor, lateForMost))
}

func (g *group) answered(l *Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l.lapses, l.lateUntil = 0, time.Time{}
}
