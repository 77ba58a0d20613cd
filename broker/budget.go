package broker

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// sweepInterval is how often flows with withheld credit are looked at,
// restInterval how often when that was in vain and nothing was released.
const (
	sweepInterval = 2 * time.Millisecond
	restInterval  = 32 * time.Millisecond
)

// leastWeight is the smallest weight that a message is reckoned with where it is
// not known.
const leastWeight = 1 << 10

// budget bounds the bytes that are in the broker at once. What counts is what is
// here: bytes are charged to the account of the peer that they came from when
// they are read, and released when they leave. Credit that was granted costs
// nothing. When the budget is used up, transports stop reading (ByteAccount.Charge):
// one message of every peer is let in all the same, so that every flow moves.
//
// A transport that cannot stop reading is bounded by its credit: what a flow may have
// in the broker is its part of the budget, and PAYs beyond that wait.
type budget struct {
	limit  atomic.Int64
	held   atomic.Int64
	queued atomic.Int64 // how many wait in the queue; changed under mu

	mu          sync.Mutex
	queue       fairQueue // guarded by mu; who waits for room
	apart       list.List // guarded by mu; of *byteWaiter, who is at its own account's limit
	constrained []*Flow   // guarded by mu; flows with withheld credit, in turn
	sweeping    bool      // guarded by mu; while there is a sweeper
	sweeper     sync.WaitGroup
}

// newAccount is the account of a peer that belongs to that owner.
func (b *budget) newAccount(owner string, limit int64) *ByteAccount {
	return &ByteAccount{budget: b, owner: owner, limit: limit}
}

// setBudgets puts the limits to use. Peers that take part in no flow share what two
// messages need: enough for BOTs that carry much, one after the other, whoever else has
// begun to send one and does not go on.
func (b *Broker) setBudgets(o *Options) {
	b.budget.resize(o.MaxBytes)
	b.early.resize(2*int64(o.MaxMessage) + 4<<20)
}

// full tells whether no more bytes may come in. Who waits for its own account does not
// make it so.
func (b *budget) full() bool { return b.held.Load() >= b.limit.Load() || b.queued.Load() > 0 }

// Held is how many bytes are charged at present.
func (b *Broker) Held() int64 { return b.budget.held.Load() }

// WaitingReaders is how many peers are not read from at present, because there is no
// room for more of theirs (ByteAccount.Charge): in the budget, in their own account, or
// in what peers without a flow share.
func (b *Broker) WaitingReaders() int64 {
	return b.budget.waitingReaders() + b.early.waitingReaders()
}

// Exhausted tells whether the bytes in the broker have reached their limit.
func (b *Broker) Exhausted() bool { return b.budget.full() }

// payWindow is how many DATs the flow's giver may send or the broker hold, together.
// f.mu is held.
func (f *Flow) payWindow() int64 {
	total := f.state.Credit().Total()
	giver := f.peers[f.state.Giver()]
	if giver == nil || giver.pauses {
		return total
	}
	part := min(f.broker.budget.limit.Load()/max(1, f.broker.liveCount.Load()), f.limits.MaxFlowBytes)
	return max(1, min(total, part/f.estimate()))
}

// estimate is how heavy a DAT is reckoned to be: as the largest one seen, and at
// first, when little was seen, more than that. f.mu is held.
func (f *Flow) estimate() int64 {
	guess := int64(f.limits.MaxMessage) >> min(f.account.data.Messages, 62)
	return max(f.largest, guess, leastWeight)
}

// adjust sets the window by what there is room for, and pays what that allows.
// f.mu is held.
func (f *Flow) adjust() {
	if f.state.Phase() == flow.Ended {
		return
	}
	f.window = f.payWindow()
	messages, _ := f.queued(f.state.Giver().Other())
	f.apply(flow.Room(f.window, messages))
}

// satisfied tells whether f has nothing to wait for. f.mu is held.
func (f *Flow) satisfied() bool {
	return f.state.Phase() == flow.Ended || f.state.Credit().Withheld() == 0
}

// watch has the sweeper look after f, if need be. f.mu is held.
func (f *Flow) watch() {
	if !f.constrained && !f.satisfied() {
		f.constrained = true
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

func (b *budget) watch(f *Flow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.constrained = append(b.constrained, f)
	if !b.sweeping {
		b.sweeping = true
		b.sweeper.Go(b.sweep)
	}
}

func (b *budget) unwatch(f *Flow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.constrained = slices.DeleteFunc(b.constrained, func(other *Flow) bool { return other == f })
}

// sweep pays in turn the givers whose flows have room again, until no credit is
// withheld. While nothing moves, as with takers that do not read, it comes by less
// often.
func (b *budget) sweep() {
	pause := sweepInterval
	for {
		time.Sleep(pause)
		flows := b.nextTurn()
		if len(flows) == 0 {
			return
		}
		pause = min(2*pause, restInterval)
		for _, f := range flows {
			if f.recheck() {
				pause = sweepInterval
			}
		}
	}
}

// nextTurn returns the flows to look at, another one first each time. The sweeper
// ends when there is none.
func (b *budget) nextTurn() []*Flow {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweeping = len(b.constrained) > 0
	if len(b.constrained) > 1 {
		b.constrained = append(b.constrained[1:], b.constrained[0])
	}
	return slices.Clone(b.constrained)
}

// recheck pays what f has room for, and lets f go when nothing is withheld. It returns
// whether something has moved.
func (f *Flow) recheck() (moved bool) {
	defer f.contain("paying what was withheld")
	f.mu.Lock()
	defer f.unlock()
	before := f.state.Credit().Withheld()
	f.adjust()
	if f.satisfied() {
		f.constrained = false
		f.broker.budget.unwatch(f)
	}
	return f.state.Credit().Withheld() != before
}
