package relay

import (
	"slices"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
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

// Sweeper looks after the flows whose credit is withheld: those of peers whose transport
// cannot stop reading. Such a transport is bounded by its credit: what a flow may have in
// the broker is its part of the budget, and PAYs beyond that wait. The zero Sweeper is
// ready.
type Sweeper struct {
	mu          sync.Mutex
	constrained []*Flow // guarded by mu; flows with withheld credit, in turn
	sweeping    bool    // guarded by mu; while there is a goroutine that does
	running     sync.WaitGroup
}

// payWindow is how many DATs the flow's giver may send or the broker hold, together.
// f.mu is held.
func (f *Flow) payWindow() int64 {
	total := f.state.Credit().Total()
	giver := f.peers[f.state.Giver()]
	if giver == nil || giver.Pauses {
		return total
	}
	part := min(f.host.Budget.Limit()/max(1, f.host.Registry.Live()), f.limits.MaxFlowBytes)
	return max(1, min(total, part/f.estimate()))
}

// estimate is how heavy a DAT is reckoned to be: as the largest one seen, and at
// first, when little was seen, more than that. f.mu is held.
func (f *Flow) estimate() int64 {
	guess := int64(f.limits.MaxMessage) >> min(f.account.Data.Messages, 62)
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
	f.apply(flow.WindowUpdate(f.window, messages))
}

// satisfied tells whether f has nothing to wait for. f.mu is held.
func (f *Flow) satisfied() bool {
	return f.state.Phase() == flow.Ended || f.state.Credit().Withheld() == 0
}

// watch has the sweeper look after f, if need be. f.mu is held.
func (f *Flow) watch() {
	if !f.constrained && !f.satisfied() {
		f.constrained = true
		f.host.Sweeper.watch(f)
	}
}

// queued is what has been delivered to a side and not left. f.mu is held.
func (f *Flow) queued(side flow.Side) (messages, bytes int64) {
	if peer := f.peers[side]; peer != nil {
		return peer.Link.Queued()
	}
	return 0, 0
}

// payDeferred delivers a PAY of the broker's own, for credit that was withheld. It
// bears the coord of the latest PAY, of which it is the rest.
func (f *Flow) payDeferred(credit int64, seqno uint64) error {
	label, err := zio.Supply(nil, zio.PAY, credit)
	if err != nil {
		return err
	}
	return f.deliver(f.state.Giver(), transport.Delivery{
		Message: OwnMessage(label, seqno), Type: zio.PAY, Flow: f.id, Credit: credit,
	}.Weighed())
}

func (s *Sweeper) watch(f *Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.constrained = append(s.constrained, f)
	if !s.sweeping {
		s.sweeping = true
		s.running.Go(s.sweep)
	}
}

func (s *Sweeper) unwatch(f *Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.constrained = slices.DeleteFunc(s.constrained, func(other *Flow) bool { return other == f })
}

// sweep pays in turn the givers whose flows have room again, until no credit is
// withheld. While nothing moves, as with takers that do not read, it comes by less
// often.
func (s *Sweeper) sweep() {
	pause := sweepInterval
	for {
		time.Sleep(pause)
		flows := s.nextTurn()
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
func (s *Sweeper) nextTurn() []*Flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeping = len(s.constrained) > 0
	if len(s.constrained) > 1 {
		s.constrained = append(s.constrained[1:], s.constrained[0])
	}
	return slices.Clone(s.constrained)
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
		f.host.Sweeper.unwatch(f)
	}
	return f.state.Credit().Withheld() != before
}

// Wait returns when nothing is looked after any more.
func (s *Sweeper) Wait() { s.running.Wait() }
