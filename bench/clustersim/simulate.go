package clustersim

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/zioflow/gateway/cluster/members"
)

// Options are a cluster, and what is done to it.
type Options struct {
	// Nodes there are, and Listeners that all of them have together.
	Nodes, Listeners int
	// Holders are how many nodes hold the listeners of all others; the rest hold the numbers
	// of their tables, so that the whole fits into one machine's memory. At least 1.
	Holders int
	// Churn is how many listeners change otherwise than in how many flows they have, in a second,
	// in the whole cluster.
	Churn int
	// Loss is the part of what is published that does not arrive.
	Loss float64
	// Protocol is the version of the protocol that the nodes speak; 0 for the present one.
	Protocol uint32
	// Seed is chance's.
	Seed uint64
}

// holds tells which nodes hold listeners: some of either half.
func (o *Options) holds(i int) bool {
	return o.Holders >= o.Nodes || i%max(1, o.Nodes/max(1, o.Holders)) == 0
}

// Figures are what came of it. What is of a node is the mean of all.
type Figures struct {
	// Start, Death and Heal are how long it took until all knew the same: after the last
	// of the nodes, all of which start within a second, was started; until all who live knew
	// that a node is dead; after a split was healed. DeathMedian is of the nodes' own.
	Start, Death, DeathMedian, Heal time.Duration
	// StartIn and HealIn are bytes that a node has heard in that time.
	StartIn, HealIn uint64
	// Idle, Changing and Busy are bytes, and IdleMessages messages, that a node hears in a second:
	// while nothing changes, while listeners do as Options.Churn has it, and while all listeners
	// have other numbers of flows several times a second.
	Idle, Changing, Busy, IdleMessages float64
	// False are deaths of nodes that lived, and were not cut off.
	False int
	// Memory is what a node's state machine takes that knows all, in bytes.
	Memory uint64
	// Steps are events that machines took in all, and Step what one of them took, with the
	// simulation's own time.
	Steps uint64
	Step  time.Duration
}

// How long the parts are, in simulated time.
const (
	patience = 60 * time.Second
	steady   = 5 * time.Second
	busy     = 2 * time.Second
	cut      = 10 * time.Second      // all that becomes of a split becomes of it within three
	look     = 20 * time.Millisecond // how often it is looked whether all know the same
)

// Run simulates.
func Run(o Options) (f Figures, err error) {
	if o.Nodes < 2 || o.Nodes > members.DefaultOptions().MaxNodes || o.Listeners < 0 || o.Holders < 1 {
		return f, fmt.Errorf("want 2 to %d nodes, of which one at least holds listeners", members.DefaultOptions().MaxNodes)
	}
	f.Memory = memory(o)
	w := newNetwork(o)
	perNode := o.Listeners / o.Nodes
	for _, n := range w.nodes {
		var own members.Own
		for i := range perNode {
			own.Set = append(own.Set, listener(n.index, i))
		}
		n.machine.Step(w.now, own) // which nobody hears
		w.start(n, w.now.Add(time.Duration(w.random.Int64N(int64(time.Second)))))
	}
	w.run(time.Second)
	if f.Start, err = w.agreed("the start"); err != nil {
		return f, err
	}
	f.StartIn = w.heard()
	f.Idle, f.IdleMessages = w.traffic(func() { w.run(steady) })
	f.Changing, _ = w.traffic(func() { w.churn(o, perNode) })
	if _, err = w.agreed("changes"); err != nil {
		return f, err
	}
	f.Busy, _ = w.traffic(func() { w.load(perNode) })
	if _, err = w.agreed("load"); err != nil {
		return f, err
	}
	if f.Death, f.DeathMedian, err = w.kill(w.nodes[len(w.nodes)/3]); err != nil {
		return f, err
	}
	whole := len(w.deaths)
	f.False = whole - (len(w.nodes) - 1)
	w.splitFor(o, perNode)
	before := w.heard()
	if f.Heal, err = w.agreed("the split"); err != nil {
		return f, err
	}
	f.HealIn = w.heard() - before
	f.False += w.wrong(w.deaths[whole:])
	f.Steps, f.Step = w.steps, w.busy/time.Duration(max(1, w.steps))
	return f, nil
}

// heard is what a node has heard so far.
func (w *network) heard() (bytes uint64) {
	for _, n := range w.nodes {
		bytes += n.in.bytes()
	}
	return bytes / uint64(len(w.nodes))
}

// traffic is what a node hears in a second while something is done.
func (w *network) traffic(do func()) (bytes, messages float64) {
	since, heard, count := w.now, w.heard(), w.messages()
	do()
	during := w.now.Sub(since).Seconds()
	return float64(w.heard()-heard) / during, float64(w.messages()-count) / during
}

func (w *network) messages() (n uint64) {
	for _, h := range w.nodes {
		n += h.in.messages()
	}
	return n / uint64(len(w.nodes))
}

// churn changes listeners for a time, evenly.
func (w *network) churn(o Options, perNode int) {
	if o.Churn == 0 || perNode == 0 {
		w.run(steady)
		return
	}
	every := time.Second / time.Duration(o.Churn)
	for until := w.now.Add(steady); w.now.Before(until); w.run(every) {
		w.changeOne(perNode)
	}
}

// changeOne changes one listener of one node that is there.
func (w *network) changeOne(perNode int) {
	n := w.nodes[w.random.IntN(len(w.nodes))]
	if n.dead || perNode == 0 {
		return
	}
	l := listener(n.index, w.random.IntN(perNode))
	l.MaxFlows = 1 + w.random.IntN(100)
	w.step(n, members.Own{Entries: members.Entries{Set: []members.Listener{l}}})
}

// looks is how often a second a node sees how many flows its listeners have.
const looks = 8

// load has all listeners have other numbers of flows, for a time. Of a hundred one is full, or
// idle, at a time.
func (w *network) load(perNode int) {
	for until := w.now.Add(busy); w.now.Before(until); {
		for _, n := range w.nodes { // one after the other
			var own members.Own
			for _, l := range n.machine.Table().Listeners {
				l.Flows = w.random.IntN(l.MaxFlows + 1)
				own.Set = append(own.Set, l)
			}
			w.step(n, own)
			w.run(time.Second / looks / time.Duration(len(w.nodes)))
		}
	}
}

// kill ends a node without a word, and waits until all others know.
func (w *network) kill(victim *node) (last, median time.Duration, err error) {
	victim.dead = true
	since, before := w.now, len(w.deaths)
	var took []time.Duration
	for w.now.Sub(since) < patience && len(took) < len(w.nodes)-1 {
		w.run(look)
		took = took[:0]
		for _, d := range w.deaths[before:] {
			if d.of == victim.id {
				took = append(took, d.at.Sub(since))
			}
		}
	}
	if len(took) < len(w.nodes)-1 {
		return 0, 0, fmt.Errorf("only %d of %d know that a node is dead", len(took), len(w.nodes)-1)
	}
	slices.Sort(took)
	return took[len(took)-1], took[len(took)/2], nil
}

// splitFor cuts the cluster in two, while listeners change on both sides.
func (w *network) splitFor(o Options, perNode int) {
	w.split = true
	for range 10 {
		w.run(cut / 10)
		for range o.Churn {
			w.changeOne(perNode)
		}
	}
	w.split = false
}

// wrong counts deaths, seen during a split, of nodes that live in the same half.
func (w *network) wrong(seen []death) (n int) {
	half := len(w.nodes) / 2
	for _, d := range seen {
		if of := w.byID[d.of]; !of.dead && (of.index < half) == (d.by.index < half) {
			n++
		}
	}
	return n
}

// agreed waits until all know the same, and returns how long that took.
func (w *network) agreed(after string) (time.Duration, error) {
	since := w.now
	for {
		err := w.agree()
		took := w.now.Sub(since)
		if err == nil {
			return took, nil
		}
		if took > patience {
			return took, fmt.Errorf("%v after %s: %w", patience, after, err)
		}
		w.run(look)
	}
}

// agree says who does not know what.
func (w *network) agree() error {
	there := 0
	for _, n := range w.nodes {
		if !n.dead {
			there++
		}
	}
	for _, by := range w.nodes {
		if by.dead {
			continue
		}
		known := by.machine.Nodes()
		if len(known) != there-1 {
			return fmt.Errorf("node %d knows %d others of %d", by.index, len(known), there-1)
		}
		for _, k := range known {
			of := w.byID[k.ID]
			if !k.Current || k.Number != of.machine.Self().Number || by.holds && k.Listeners != of.machine.Self().Listeners {
				return fmt.Errorf("node %d knows %d listeners, and change %d, of node %d, which is at %d", by.index, k.Listeners, k.Number, of.index, of.machine.Self().Number)
			}
		}
	}
	return w.same()
}

// same compares the listeners that holders know with those that there are.
func (w *network) same() error {
	tables := map[members.ID][]members.Listener{}
	for _, n := range w.nodes {
		tables[n.id] = n.machine.Table().Listeners
	}
	for _, by := range w.nodes {
		if by.dead || !by.holds {
			continue
		}
		for _, k := range by.machine.Nodes() {
			if t, _ := by.machine.Known(k.ID); !slices.Equal(t.Listeners, tables[k.ID]) {
				return errors.New("two nodes that have the same numbers do not have the same listeners")
			}
		}
	}
	return nil
}

// memory is what a machine takes that knows all.
func memory(o Options) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := members.New(beat(0, "0"), members.DefaultOptions())
	now := time.Unix(1_000_000, 0)
	for i := 1; i < o.Nodes; i++ {
		b := beat(i, members.ID(fmt.Sprintf("%026d", i)))
		b.Protocol, b.Number = members.Protocol, 1
		m.Step(now, members.Heard{Beat: b})
		t := members.Table{ID: b.ID, Number: 1}
		for n := range o.Listeners / o.Nodes {
			t.Listeners = append(t.Listeners, copied(listener(i, n)))
		}
		m.Step(now, members.Read{Table: t})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(m)
	return after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
}
