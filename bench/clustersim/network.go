package clustersim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/zioflow/gateway/cluster/members"
)

// The network.
const (
	nearest, farthest = 200 * time.Microsecond, 5 * time.Millisecond // how long a message is under way
	lanes             = 4                                            // with as many different delays a publication comes to all
	rate              = 125_000_000                                  // bytes a second that a node can send, and receive, of tables
	readPause         = 200 * time.Millisecond                       // after a table that could not be read, as the gateway's
)

// network is nodes, and what is under way between them.
type network struct {
	random *rand.Rand
	loss   float64
	now    time.Time
	queue  queue
	order  uint64
	nodes  []*node
	byID   map[members.ID]*node
	split  bool // nothing crosses from the first half of the nodes to the second

	deaths []death
	steps  uint64 // of all machines
	busy   time.Duration
}

// death is that a node was taken for dead, or has said that it leaves.
type death struct {
	of members.ID
	by *node
	at time.Time
}

// node is one of them.
type node struct {
	index   int
	id      members.ID
	machine *members.Machine
	holds   bool // the listeners of others; else only the numbers of their tables
	started bool
	dead    bool
	in, out traffic
	said    [lanes]time.Time // when what it has published last comes, by lane
	sends   time.Time        // when it has sent, or received, the tables that it does now
	takes   time.Time

	table     members.Table // as it was when it was last read
	tableSize uint64
}

// read is the node's table now, and how large that is.
func (n *node) read() (members.Table, uint64) {
	if n.tableSize == 0 || n.table.Number != n.machine.Self().Number {
		n.table = n.machine.Table()
		n.tableSize = tableSize(n.table)
	}
	return n.table, n.tableSize
}

// traffic is what a node hears, or says.
type traffic struct{ beats, beatBytes, changes, changeBytes, tables, tableBytes uint64 }

func (t *traffic) bytes() uint64    { return t.beatBytes + t.changeBytes + t.tableBytes }
func (t *traffic) messages() uint64 { return t.beats + t.changes + t.tables }

// item is something that is to happen: an event of one node, or a publication that comes to
// every node whose index leaves the rest lane.
type item struct {
	at    time.Time
	order uint64
	to    *node // nil for a publication
	from  *node
	event members.Event
	bare  members.Event // what comes to those that hold no listeners
	size  uint64
	lane  int
	table bool // the event is a table, of so many bytes
}

type queue []item

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(item)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = item{}
	*q = (*q)[:len(*q)-1]
	return last
}

func newNetwork(o Options) *network {
	w := &network{random: rand.New(rand.NewPCG(o.Seed, 1)), loss: o.Loss, now: time.Unix(1_000_000, 0), byID: map[members.ID]*node{}}
	for i := range o.Nodes {
		id := members.ID(fmt.Sprintf("%026d", i))
		self := beat(i, id)
		self.Protocol = o.Protocol
		n := &node{index: i, id: id, holds: o.holds(i), machine: members.New(self, members.DefaultOptions())}
		w.nodes, w.byID[id] = append(w.nodes, n), n
	}
	return w
}

func (w *network) delay() time.Duration {
	return nearest + time.Duration(w.random.Int64N(int64(farthest-nearest)))
}

func (w *network) push(i item) {
	w.order++
	i.order = w.order
	heap.Push(&w.queue, i)
}

// start has a node run from then on.
func (w *network) start(n *node, at time.Time) {
	w.push(item{at: at, to: n, event: members.Tick{}})
}

// run lets time pass.
func (w *network) run(d time.Duration) {
	began := time.Now()
	for until := w.now.Add(d); ; {
		if len(w.queue) == 0 || w.queue[0].at.After(until) {
			w.now = until
			break
		}
		next := heap.Pop(&w.queue).(item)
		w.now = next.at
		if next.to == nil {
			w.arrive(&next)
			continue
		}
		if _, tick := next.event.(members.Tick); tick && !next.to.dead {
			next.to.started = true
			next.at = next.at.Add(members.DefaultOptions().Beat)
			w.push(next)
		}
		if next.table {
			next.to.in.tables++
			next.to.in.tableBytes += next.size
		}
		w.step(next.to, next.event)
	}
	w.busy += time.Since(began)
}

// arrive has a publication come to those of its lane.
func (w *network) arrive(i *item) {
	for at := i.lane; at < len(w.nodes); at += lanes {
		n := w.nodes[at]
		if n == i.from || !w.reaches(i.from, n) || w.loss > 0 && w.random.Float64() < w.loss {
			continue
		}
		e := i.event
		if _, beat := e.(members.Heard); beat {
			n.in.beats++
			n.in.beatBytes += i.size
		} else {
			n.in.changes++
			n.in.changeBytes += i.size
			if !n.holds {
				e = i.bare
			}
		}
		w.step(n, e)
	}
}

// reaches tells whether what one says comes to the other.
func (w *network) reaches(from, to *node) bool {
	half := len(w.nodes) / 2
	return from.started && to.started && !from.dead && !to.dead && (!w.split || (from.index < half) == (to.index < half))
}

// step has a node take an event, and does what comes of it.
func (w *network) step(n *node, e members.Event) {
	if n.dead {
		return
	}
	w.steps++
	for _, effect := range n.machine.Step(w.now, e) {
		switch e := effect.(type) {
		case members.Say:
			size := beatSize(e.Beat)
			n.out.beats++
			n.out.beatBytes += size * uint64(len(w.nodes)-1)
			w.publish(item{from: n, event: members.Heard(e), size: size})
		case members.Tell:
			size := changeSize(e.Change)
			n.out.changes++
			n.out.changeBytes += size * uint64(len(w.nodes)-1)
			w.publish(item{from: n, event: members.Told(e), bare: members.Told{Change: members.Change{ID: n.id, Number: e.Number}}, size: size})
		case members.Fetch:
			w.fetch(n, w.byID[e.ID])
		case members.Probe:
			if of := w.byID[e.ID]; w.reaches(n, of) {
				at := w.now.Add(2 * w.delay())
				w.push(item{at: at, to: n, event: members.Moved{ID: e.ID, At: at}})
			}
		case members.Left:
			w.deaths = append(w.deaths, death{e.Node.ID, n, w.now})
		}
	}
}

// publish has something come to all nodes: what one says, as with NATS, in the order in which it
// has said it.
func (w *network) publish(i item) {
	for i.lane = range lanes {
		last := &i.from.said[i.lane]
		i.at = later(w.now.Add(w.delay()), *last)
		*last = i.at
		w.push(i)
	}
}

// fetch has a node read another's table: over both ends' lines, one table after the other.
func (w *network) fetch(by, of *node) {
	if !w.reaches(by, of) {
		w.push(item{at: w.now.Add(readPause), to: by, event: members.Failed{ID: of.id}})
		return
	}
	table, size := of.read()
	if !by.holds {
		table.Listeners = nil
	}
	asked := w.now.Add(w.delay())
	during := time.Duration(size) * time.Second / rate
	of.sends = later(of.sends, asked).Add(during)
	by.takes = later(by.takes, of.sends).Add(during)
	of.out.tables++
	of.out.tableBytes += size
	w.push(item{at: by.takes.Add(w.delay()), to: by, event: members.Read{Table: table}, size: size, table: true})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
