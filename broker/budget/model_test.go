package budget

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
)

// modelled is an account as the model has it.
type modelled struct {
	owner          string
	limit, held    int64
	waiting, apart bool
	n, current     int64 // what it waits for
}

// byteModel is what the budget should do, said without thought of cost: after each
// event it looks at everybody.
type byteModel struct {
	limit    int64
	accounts []*modelled
	turns    []string               // owners of whom some wait
	lanes    map[string][]*modelled // who wait, by owner
	set      []*modelled            // who wait apart, in the order in which they came
}

func (m *byteModel) held() (n int64) {
	for _, a := range m.accounts {
		n += a.held
	}
	return n
}

func (m *byteModel) fits(a *modelled, n int64) bool { return a.held+n <= min(a.limit, m.limit) }

// charge is what comes of an account's wish: it is granted at once, or waits.
func (m *byteModel) charge(a *modelled, n, current int64) {
	a.n, a.current = n, current
	if a.held <= current || m.fits(a, n) && len(m.turns) == 0 && m.held()+n <= m.limit {
		a.held += n
		return
	}
	a.waiting = true
	m.place(a)
	m.settle()
}

func (m *byteModel) place(a *modelled) {
	switch a.apart = !m.fits(a, a.n); {
	case a.apart:
		m.set = append(m.set, a)
	default:
		if len(m.lanes[a.owner]) == 0 {
			m.turns = append(m.turns, a.owner)
		}
		m.lanes[a.owner] = append(m.lanes[a.owner], a)
	}
}

func (m *byteModel) leave(a *modelled) {
	if a.apart {
		m.set = slices.DeleteFunc(m.set, func(b *modelled) bool { return a == b })
		return
	}
	m.lanes[a.owner] = slices.DeleteFunc(m.lanes[a.owner], func(b *modelled) bool { return a == b })
	if len(m.lanes[a.owner]) == 0 {
		m.turns = slices.DeleteFunc(m.turns, func(owner string) bool { return owner == a.owner })
	}
}

func (m *byteModel) grant(a *modelled) {
	m.leave(a)
	a.waiting = false
	a.held += a.n
}

// settle grants all that can be granted.
func (m *byteModel) settle() {
	for _, a := range m.accounts {
		if a.waiting && a.held <= a.current {
			m.grant(a)
		}
	}
	for _, a := range slices.Clone(m.set) {
		if m.fits(a, a.n) {
			m.leave(a)
			m.place(a)
		}
	}
	for len(m.turns) > 0 {
		a := m.lanes[m.turns[0]][0]
		switch {
		case !m.fits(a, a.n):
			m.leave(a)
			m.place(a)
		case m.held()+a.n <= m.limit:
			m.turns = append(m.turns[1:], m.turns[0])
			m.grant(a)
		default:
			return
		}
	}
}

// modelRun drives a budget and the model by the same events.
type modelRun struct {
	rng      *rand.Rand
	budget   *Budget
	model    byteModel
	accounts []*Account
	stops    []chan struct{}
	done     []<-chan bool // what came of the account's Charge
}

func newModelRun(seed uint64) *modelRun {
	r := &modelRun{rng: rand.New(rand.NewPCG(seed, 0)), budget: newBudget(1000)}
	r.model = byteModel{limit: 1000, lanes: map[string][]*modelled{}}
	for i := range 3 + r.rng.IntN(10) {
		owner, limit := fmt.Sprint(i%(1+r.rng.IntN(4))), 100+r.rng.Int64N(1500)
		r.accounts = append(r.accounts, r.budget.NewAccount(owner, limit))
		r.model.accounts = append(r.model.accounts, &modelled{owner: owner, limit: limit})
	}
	r.stops = make([]chan struct{}, len(r.accounts))
	r.done = make([]<-chan bool, len(r.accounts))
	return r
}

// step has one event happen.
func (r *modelRun) step() string {
	i := r.rng.IntN(len(r.accounts))
	a, m := r.accounts[i], r.model.accounts[i]
	switch event := r.rng.IntN(10); {
	case event < 5 && !m.waiting:
		n, current := 1+r.rng.Int64N(min(300, m.limit)), []int64{0, NoFree, m.held / 2, m.held}[r.rng.IntN(4)]
		r.stops[i] = make(chan struct{})
		r.done[i] = waits(a, n, current, r.stops[i])
		r.model.charge(m, n, current)
		return fmt.Sprintf("%d charges %d of which %d are current", i, n, current)
	case event < 8 && m.held > 0:
		n := 1 + r.rng.Int64N(m.held)
		a.Release(n)
		m.held -= n
		r.model.settle()
		return fmt.Sprintf("%d releases %d", i, n)
	case event == 8 && m.waiting:
		close(r.stops[i])
		m.waiting = false
		r.model.leave(m)
		r.model.settle()
		return fmt.Sprintf("%d stops", i)
	case event == 9 && r.rng.IntN(4) == 0:
		limit := 300 + r.rng.Int64N(1500)
		r.budget.Resize(limit)
		r.model.limit = limit
		r.model.settle()
		return fmt.Sprintf("the limit is %d", limit)
	default:
		n := r.rng.Int64N(20)
		a.Add(n)
		m.held += n
		return fmt.Sprintf("%d adds %d", i, n)
	}
}

// difference is where the budget is not what the model is; empty if nowhere.
func (r *modelRun) difference() string {
	synctest.Wait()
	var apart, queued int64
	for i, m := range r.model.accounts {
		switch {
		case r.accounts[i].Held() != m.held:
			return fmt.Sprintf("%d holds %d, want %d", i, r.accounts[i].Held(), m.held)
		case (r.accounts[i].waiter.Load() != nil) != m.waiting:
			return fmt.Sprintf("%d waits is %t, want %t", i, !m.waiting, m.waiting)
		case m.waiting && len(r.done[i]) != 0:
			return fmt.Sprintf("%d goes on, and should wait", i)
		case m.waiting && m.apart:
			apart++
		case m.waiting:
			queued++
		}
	}
	b := r.budget
	if b.held.Load() != r.model.held() || b.queued.Load() != queued || b.Waiting() != queued+apart {
		return fmt.Sprintf("%d bytes, %d queued, %d wait, want %d, %d, %d",
			b.held.Load(), b.queued.Load(), b.Waiting(), r.model.held(), queued, queued+apart)
	}
	return ""
}

// drain has everything leave, until nobody waits.
func (r *modelRun) drain() string {
	r.budget.Resize(1000)
	for range 2 * len(r.accounts) {
		for _, a := range r.accounts {
			a.Release(a.Held())
			synctest.Wait()
		}
	}
	if n := r.budget.Waiting(); n != 0 {
		return fmt.Sprintf("%d wait though everything has left", n)
	}
	return ""
}

// TestChargeModel: whatever happens, in whatever order, exactly those go on who should,
// and when everything leaves all do.
func TestChargeModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := newModelRun(seed)
			defer func() {
				for i, m := range r.model.accounts {
					if m.waiting && t.Failed() {
						close(r.stops[i])
					}
				}
			}()
			var events []string
			for range 200 {
				events = append(events, r.step())
				if wrong := r.difference(); wrong != "" {
					t.Fatalf("seed %d: %s after %q", seed, wrong, events[max(0, len(events)-12):])
				}
			}
			if wrong := r.drain(); wrong != "" {
				t.Fatalf("seed %d: %s", seed, wrong)
			}
			wantNobodyWaiting(t, r.budget)
		})
	}
}
