package members_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/zioflow/gateway/cluster/members"
)

// network is nodes between which messages are lost, in simulated time.
type network struct {
	t      *testing.T
	random *rand.Rand
	loss   float64
	now    time.Time
	queue  queue
	nodes  map[members.ID]*host
	cut    func(from, to members.ID) bool // nil for no cut
	left   []members.Left                 // all that were seen to go
}

// host is one of them.
type host struct {
	machine *members.Machine
	older   bool // it is of the version of the protocol that knows nothing of Change.Busy
	frozen  bool
	dead    bool
	held    []members.Event // that came while it was frozen
}

// delivery is an event to come.
type delivery struct {
	at    time.Time
	order int
	to    members.ID
	event members.Event
}

type queue []delivery

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(delivery)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newNetwork(t *testing.T, seed uint64, nodes int, loss float64) *network {
	w := &network{t: t, random: rand.New(rand.NewPCG(seed, 1)), loss: loss, now: time.Unix(1000, 0), nodes: map[members.ID]*host{}}
	for range nodes {
		w.add(members.Protocol, 0)
	}
	return w
}

// add adds a node of that version of the protocol, which hears others, and is heard some time
// after it has been started.
func (w *network) add(protocol uint32, after time.Duration) {
	id := members.ID(fmt.Sprintf("n%d", len(w.nodes)))
	w.nodes[id] = &host{
		machine: members.New(members.Beat{ID: id, Name: string(id), Protocol: protocol}, members.DefaultOptions()),
		older:   protocol == 1,
	}
	w.push(after+time.Duration(w.random.IntN(500))*time.Millisecond, id, members.Tick{})
}

func (w *network) push(after time.Duration, to members.ID, e members.Event) {
	heap.Push(&w.queue, delivery{w.now.Add(after), w.random.IntN(1 << 30), to, e})
}

// run lets time pass.
func (w *network) run(d time.Duration) {
	until := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(until) {
		next := heap.Pop(&w.queue).(delivery)
		w.now = next.at
		h := w.nodes[next.to]
		if _, tick := next.event.(members.Tick); tick && !h.dead {
			w.push(500*time.Millisecond, next.to, next.event)
		}
		switch _, tick := next.event.(members.Tick); {
		case h.dead:
		case h.frozen && !tick:
			h.held = append(h.held, next.event)
		case !h.frozen:
			w.step(next.to, next.event)
		}
	}
	w.now = until
}

func (w *network) thaw(id members.ID) {
	h := w.nodes[id]
	h.frozen = false
	for _, e := range h.held {
		w.step(id, e)
	}
	h.held = nil
}

// reaches tells whether anything comes from one to the other.
func (w *network) reaches(from, to members.ID) bool {
	return !w.nodes[from].dead && !w.nodes[to].dead && (w.cut == nil || !w.cut(from, to))
}

func (w *network) step(id members.ID, e members.Event) {
	if told, is := e.(members.Told); is && w.nodes[id].older {
		told.Busy = nil
		e = told
	}
	for _, effect := range w.nodes[id].machine.Step(w.now, e) {
		switch e := effect.(type) {
		case members.Say:
			w.publish(id, members.Heard(e))
		case members.Tell:
			w.publish(id, members.Told(e))
		case members.Fetch:
			w.fetch(id, e.ID)
		case members.Probe:
			if w.reaches(id, e.ID) && !w.nodes[e.ID].frozen {
				w.push(2*time.Millisecond, id, members.Moved{ID: e.ID, At: w.now.Add(2 * time.Millisecond)})
			}
		case members.Left:
			w.left = append(w.left, e)
		}
	}
}

func (w *network) publish(from members.ID, e members.Event) {
	for to := range w.nodes {
		if to != from && w.reaches(from, to) && w.random.Float64() >= w.loss {
			w.push(time.Duration(w.random.IntN(int(5*time.Millisecond))), to, e)
		}
	}
}

func (w *network) fetch(by, of members.ID) {
	if !w.reaches(by, of) || w.nodes[of].frozen || w.random.Float64() < w.loss {
		w.push(time.Second, by, members.Failed{ID: of})
		return
	}
	w.push(time.Duration(w.random.IntN(int(20*time.Millisecond))), by, members.Read{Table: w.nodes[of].machine.Table()})
}

// agree tells whether all who are there know each other's tables, and nobody else's.
func (w *network) agree() error {
	there := 0
	for _, h := range w.nodes {
		if !h.dead {
			there++
		}
	}
	for id, h := range w.nodes {
		if h.dead {
			continue
		}
		if n := len(h.machine.Nodes()) + 1; n != there {
			return fmt.Errorf("%s knows %d nodes, there are %d", id, n, there)
		}
		for other, o := range w.nodes {
			if other == id || o.dead {
				continue
			}
			known, _ := h.machine.Known(other)
			if want := o.machine.Table(); !reflect.DeepEqual(known, want) {
				return fmt.Errorf("%s knows %v of %s, which has %v", id, known, other, want)
			}
		}
	}
	return nil
}

func (w *network) mustAgree(when string) {
	w.t.Helper()
	if err := w.agree(); err != nil {
		w.t.Errorf("%s: %v", when, err)
	}
}

// churn changes tables at random: some listeners are others, some have more or less to do.
func (w *network) churn(times int) {
	for range times {
		id := members.ID(fmt.Sprintf("n%d", w.random.IntN(len(w.nodes))))
		if h := w.nodes[id]; !h.dead && !h.frozen {
			n := uint64(w.random.IntN(20))
			own := members.Entries{Set: []members.Listener{{ID: n, Name: fmt.Sprint(w.random.IntN(2)), Flows: w.random.IntN(4), MaxFlows: 3}}}
			switch w.random.IntN(10) {
			case 0:
				own = members.Entries{Removed: []uint64{n}}
			case 1, 2:
				own = members.Entries{SetRoutes: []members.Route{{ID: w.random.Uint64(), Body: "x"}}}
				if routes := h.machine.Table().Routes; len(routes) > 3 {
					own = members.Entries{RemovedRoutes: []uint64{routes[0].ID, routes[2].ID}}
				}
			}
			w.step(id, members.Own{Entries: own})
		}
		w.run(time.Duration(w.random.IntN(100)) * time.Millisecond)
	}
}

// TestTablesAgree although a fifth of what is published is lost: nobody is taken for dead,
// and once nothing changes all know the same.
func TestTablesAgree(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := newNetwork(t, seed, 6, 0.2)
		w.churn(200)
		w.loss = 0
		w.run(2 * time.Second)
		w.mustAgree(fmt.Sprintf("seed %d", seed))
		if len(w.left) > 0 {
			t.Errorf("seed %d: %s was taken for %v", seed, w.left[0].Node.ID, w.left[0].Why)
		}
	}
}

// TestOlderNodes: nodes of version 1, which come while listeners have more and less to do, know
// the same as all others, as these do of them.
func TestOlderNodes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := newNetwork(t, seed, 3, 0.1)
		w.churn(100)
		w.add(1, 3*time.Second)
		w.churn(100)
		w.add(1, 0)
		w.churn(20)
		w.loss = 0
		w.run(2 * time.Second)
		w.mustAgree(fmt.Sprintf("seed %d", seed))
		w.nodes["n3"].dead, w.nodes["n4"].dead = true, true
		w.run(4 * time.Second)
		w.churn(20)
		w.run(2 * time.Second)
		w.mustAgree(fmt.Sprintf("seed %d, without them", seed))
	}
}

// TestDeathIsSeen by all, in time, of whoever is killed or frozen, and of nobody else.
func TestDeathIsSeen(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		w := newNetwork(t, seed, 5, 0.05)
		w.churn(50)
		victim := members.ID(fmt.Sprintf("n%d", seed%5))
		if h := w.nodes[victim]; seed%2 == 0 {
			h.dead = true
		} else {
			h.frozen = true
		}
		w.run(3100 * time.Millisecond) // 2.5 s, and up to a tick
		if n := len(w.left); n != 4 {
			t.Errorf("seed %d: %d have seen that %s is dead, want 4", seed, n, victim)
		}
		for _, l := range w.left {
			if l.Node.ID != victim || l.Why != members.Silent {
				t.Errorf("seed %d: %s was taken for %v, and it is %s", seed, l.Node.ID, l.Why, victim)
			}
		}
		if w.nodes[victim].frozen {
			w.run(20 * time.Second)
			w.thaw(victim)
			w.loss = 0
			w.run(2 * time.Second)
			w.mustAgree(fmt.Sprintf("seed %d, thawed", seed))
			if n := len(w.left); n != 4 {
				t.Errorf("seed %d: who was frozen took %d others for dead", seed, n-4)
			}
		}
	}
}

// TestSplitHeals: both halves go on, and know the same when they hear each other again.
func TestSplitHeals(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := newNetwork(t, seed, 5, 0.05)
		w.churn(50)
		half := func(id members.ID) bool { return id < "n2" }
		w.cut = func(from, to members.ID) bool { return half(from) != half(to) }
		w.run(4 * time.Second)
		w.churn(50)
		if n := len(w.nodes["n0"].machine.Nodes()); n != 1 {
			t.Errorf("seed %d: n0 knows %d others, want 1", seed, n)
		}
		for _, l := range w.left {
			if len(w.left) != 12 || l.Why != members.Silent {
				t.Fatalf("seed %d: %d were taken for dead, want 12, each by those beyond the cut", seed, len(w.left))
			}
		}
		w.cut, w.loss = nil, 0
		w.run(1500 * time.Millisecond)
		w.mustAgree(fmt.Sprintf("seed %d", seed))
	}
}
