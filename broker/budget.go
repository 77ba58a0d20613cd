package broker

import (
	"slices"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// sweepInterval is how often flows with withheld credit are looked at,
// restInterval how often when that was in vain for a while.
const (
	sweepInterval = 2 * time.Millisecond
	restInterval  = 32 * time.Millisecond
)

// fullFor is for how long it is taken for granted that the broker holds as many
// bytes as it may, or not: to find out is to look at all its flows.
const fullFor = 10 * time.Millisecond

// leastEstimate is the smallest weight that a message is reckoned with.
const leastEstimate = 1 << 10

// budget shares out the bytes that may be in the broker at once: the messages'
// weight, which is their payload and what an unusual label or number of parts
// takes.
//
// Credit counts messages, memory is bytes, and how large a DAT will be nobody
// knows before it is there. So a flow is granted bytes for as many DATs as its
// credit allows, at first of the largest size there may be, then of the largest
// it has seen. What it is not granted, its window withholds from the giver. One
// DAT is free of charge, so that every flow always moves: the broker holds no
// more than the limit and a message for every flow.
type budget struct {
	mu      sync.Mutex
	limit   int64   // guarded by mu
	granted int64   // guarded by mu; above limit only after that was lowered
	tight   []*Flow // guarded by mu; flows with less than they want, in turn

	isFull bool      // guarded by mu; when last looked at,
	fullAt time.Time // guarded by mu; which was then

	sweeping bool           // guarded by mu; while there is a sweeper
	sweeper  sync.WaitGroup // the goroutine that looks after them
}

// fit grants f its share of the budget and sets its window by it. f.mu is held.
func (f *Flow) fit() {
	if f.state.Phase() == flow.Ended {
		return
	}
	credit := f.state.Credit()
	b := &f.broker.budget
	f.share = b.regrant(f.share, min((credit.Total()-1)*f.estimate, f.limits.MaxFlowBytes))
	f.window = min(credit.Total(), 1+f.share/f.estimate)

	messages, bytes := f.queued(f.state.Giver().Other())
	if bytes > f.limits.MaxFlowBytes+2*f.estimate {
		f.apply(flow.Stopped(flow.Overrun, "more bytes wait for the taker than one flow may hold"))
		return
	}
	f.apply(flow.Room(f.window, messages))
	f.watch()
}

// satisfied tells whether f has nothing to wait for: no credit is withheld, and
// no more is under way than it has a share for. f.mu is held.
func (f *Flow) satisfied() bool {
	credit := f.state.Credit()
	messages, _ := f.queued(f.state.Giver().Other())
	return f.state.Phase() == flow.Ended || credit.Withheld() == 0 && credit.Released()+messages <= f.window
}

// watch has the sweeper look after f, if need be. f.mu is held.
func (f *Flow) watch() {
	if !f.tight && !f.satisfied() {
		f.tight = true
		f.broker.budget.watch(f)
	}
}

// queued is what has been delivered to a side and not left. f.mu is held.
func (f *Flow) queued(side flow.Side) (messages, bytes int64) {
	if peer := f.peers[side]; peer != nil {
		return peer.link.Queued()
	}
	return 0, 0
}

// weigh takes note of a DAT's weight. f.mu is held.
func (f *Flow) weigh(weight int) {
	f.largest = max(f.largest, int64(weight))
	// What was seen of the flow so far says more with every DAT.
	guess := int64(f.limits.MaxMessage) >> min(f.account.data.Messages, 62)
	if estimate := max(f.largest, guess, leastEstimate); estimate != f.estimate {
		f.estimate = estimate
		f.fit()
	}
}

// payRest delivers a PAY of the broker's own, for credit that was withheld. It
// bears the coord of the latest PAY, of which it is the rest.
func (f *Flow) payRest(credit int64, seqno uint64) error {
	label, err := zio.Supply(nil, zio.PAY, credit)
	if err != nil {
		return err
	}
	return f.deliver(f.state.Giver(), Delivery{
		Message: ownMessage(label, seqno), Type: zio.PAY, Flow: f.id, Credit: credit,
	})
}

// regrant changes a share towards what is wanted, and answers the new one. Those
// who already wait for more leave something for each other.
func (b *budget) regrant(share, wanted int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	change := wanted - share
	if change > 0 {
		change = max(0, min(change, (b.limit-b.granted)/int64(1+len(b.tight))))
	}
	b.granted += change
	return share + change
}

// resize changes the limit. What is granted beyond it comes back as its flows end
// or are fitted anew.
func (b *budget) resize(limit int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = limit
}

// exhausted answers the limit, and whether there are flows that want more than
// is left of it.
func (b *budget) exhausted() (limit int64, yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit, len(b.tight) > 0
}

func (b *budget) watch(f *Flow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tight = append(b.tight, f)
	if !b.sweeping {
		b.sweeping = true
		b.sweeper.Go(b.sweep)
	}
}

func (b *budget) unwatch(f *Flow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tight = slices.DeleteFunc(b.tight, func(other *Flow) bool { return other == f })
}

// sweep gives to flows in turn what has become free, and to their givers what
// has room, until no flow wants more than it has. While nothing moves, as with
// flows whose givers are idle, it comes by less often.
func (b *budget) sweep() {
	pause := sweepInterval
	for {
		time.Sleep(pause)
		flows := b.turn()
		if len(flows) == 0 {
			return
		}
		pause = min(2*pause, restInterval)
		for _, f := range flows {
			if f.relax() {
				pause = sweepInterval
			}
		}
	}
}

// turn answers the flows to look at, another one first each time. The sweeper
// ends when there is none.
func (b *budget) turn() []*Flow {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweeping = len(b.tight) > 0
	if len(b.tight) > 1 {
		b.tight = append(b.tight[1:], b.tight[0])
	}
	return slices.Clone(b.tight)
}

// relax fits f anew, and lets it go when nothing is left to wait for. It answers
// whether something has moved since the last time.
func (f *Flow) relax() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fit()
	if f.satisfied() {
		f.tight = false
		f.broker.budget.unwatch(f)
		return true
	}
	credit := f.state.Credit()
	queued, _ := f.queued(f.state.Giver().Other())
	now := standing{credit.Released(), credit.Withheld(), queued}
	moved := now != f.stood
	f.stood = now
	return moved
}

// standing is where the credit of a flow with too little of it is.
type standing struct{ released, withheld, queued int64 }

// full tells whether the broker holds as many bytes as it may, so that no flow
// should begin.
func (b *Broker) full() bool {
	limit, exhausted := b.budget.exhausted()
	if !exhausted {
		return false
	}
	if full, known := b.budget.knownFull(); known {
		return full
	}
	var total int64
	for _, f := range b.liveFlows() {
		f.mu.Lock()
		_, bytes := f.queued(f.state.Giver().Other())
		f.mu.Unlock()
		total += bytes
	}
	return b.budget.noteFull(total >= limit)
}

// knownFull answers what noteFull was told, if that is not too long ago.
func (b *budget) knownFull() (full, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isFull, time.Since(b.fullAt) < fullFor
}

func (b *budget) noteFull(full bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isFull, b.fullAt = full, time.Now()
	return full
}
