package broker_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/transport"
)

// TestStatsMissNothing: while flows come, work and go, no Stats has less than
// the one before, every flow is in each of them once, and the last has it all.
func TestStatsMissNothing(t *testing.T) {
	const rounds, workers, dats = 200, 4, 3
	b, cids := newBroker(t, func(o *broker.Options) { o.KeepEnded = 10 })
	var working sync.WaitGroup
	done := make(chan struct{})
	// The cids of several clients at once would be mixed up: flows open one by one.
	pairs := make(chan *pair, 8)
	go func() {
		defer close(pairs)
		for range rounds {
			pairs <- openPair(t, b, cids)
		}
	}()
	for range workers {
		working.Go(func() {
			for p := range pairs {
				for range dats {
					p.pay(1)
					p.dat(10)
				}
				p.end()
				p.leave()
			}
		})
	}
	go func() { working.Wait(); close(done) }()
	var before broker.Stats
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		s := b.Stats()
		if s.Data.Messages < before.Data.Messages || s.FromHandlers.Messages < before.FromHandlers.Messages ||
			s.Waits.Total() < before.Waits.Total() || s.Ended[flow.Completed] < before.Ended[flow.Completed] {
			t.Fatalf("after %+v came %+v", before, s)
		}
		if live := uint64(s.Pending + s.Active + s.HalfClosed); s.Opened != live+s.Ended[flow.Completed] {
			t.Fatalf("%d opened, but %d live and %d ended", s.Opened, live, s.Ended[flow.Completed])
		}
		before = s
	}
	const sum = rounds * dats
	want := ledger.Traffic{Messages: rounds*2 + sum, Bytes: rounds*3 + sum*10, DATs: sum}
	if before.FromClients != want || before.Data != (transport.Count{Messages: sum, Bytes: sum * 10}) || before.Sizes[0] != sum {
		t.Errorf("from clients %+v, want %+v; data %+v, sizes %v", before.FromClients, want, before.Data, before.Sizes)
	}
	if want := (ledger.Traffic{Messages: rounds*2 + sum}); before.FromHandlers != want {
		t.Errorf("from handlers %+v, want %+v", before.FromHandlers, want)
	}
	if before.OffersMade != rounds || before.OffersPending != 0 || before.Peers["fake"] != 0 || before.Ended[flow.Completed] != rounds {
		t.Errorf("at the end %+v", before)
	}
}

func TestRefusedBotsAreCounted(t *testing.T) {
	b, cids := newBroker(t, nil)
	p := openPair(t, b, cids)
	p.say(b.Attach(silentLink{}, transport.PeerInfo{}), `{"flow":"BOT"}`, 0)
	b.Drain()
	p.say(b.Attach(silentLink{}, transport.PeerInfo{}), `{"flow":"BOT","direction":"inject"}`, 0)
	s := b.Stats()
	if s.Refused[flow.ProtocolError] != 1 || s.Refused[flow.Draining] != 1 || s.Opened != 1 || !s.Draining || s.Listeners != 1 {
		t.Errorf("%+v", s)
	}
}

func TestUndrain(t *testing.T) {
	b, cids := newBroker(t, nil)
	isIdle := func(idle <-chan struct{}) bool {
		select {
		case <-idle:
			return true
		default:
			return false
		}
	}
	p := openPair(t, b, cids)
	first := b.Drain()
	if again := b.Drain(); again != first || isIdle(first) {
		t.Error("a Drain during a drain answers something else, or the flow does not count")
	}
	if !b.Undrain() {
		t.Error("Undrain says that the broker is closed")
	}
	q := openPair(t, b, cids)
	p.end()
	q.end()
	if isIdle(first) {
		t.Error("a drain that was given up has come to its end")
	}
	if second := b.Drain(); !isIdle(second) {
		t.Error("without flows a Drain is not idle")
	}
	b.Undrain()
	openPair(t, b, cids).end()
	third := b.Drain()
	b.Close(flow.Draining, "")
	if !isIdle(third) || b.Undrain() {
		t.Error("a closed broker is not idle, or takes flows again")
	}
}

func TestEndFlow(t *testing.T) {
	b, cids := newBroker(t, func(o *broker.Options) { o.KeepEnded = 2 })
	p := openPair(t, b, cids)
	info, err := b.EndFlow(1, "enough")
	if err != nil || info.Reason != flow.EndedByAdmin || info.Detail != "enough" || info.Phase != flow.Ended {
		t.Errorf("EndFlow answered %+v, %v", info, err)
	}
	if got := p.info(); got.Reason != flow.EndedByAdmin {
		t.Errorf("the flow is %+v", got)
	}
	if _, err := b.EndFlow(1, ""); !errors.Is(err, broker.ErrEnded) {
		t.Errorf("ended again: %v", err)
	}
	if _, err := b.EndFlow(2, ""); !errors.Is(err, broker.ErrNoFlow) {
		t.Errorf("without such a flow: %v", err)
	}
	openPair(t, b, cids).end()
	openPair(t, b, cids).end()
	if _, err := b.EndFlow(1, ""); !errors.Is(err, broker.ErrNoFlow) || b.Flow(1) != nil || b.Flow(2) == nil {
		t.Errorf("forgotten: %v", err)
	}
}

func TestFlowsBeforeAreStable(t *testing.T) {
	b, cids := newBroker(t, nil)
	for range 600 {
		openPair(t, b, cids)
	}
	var ids []transport.FlowID
	for f := range b.FlowsBefore(broker.Latest) {
		if len(ids) == 0 {
			openPair(t, b, cids)                        // is not seen any more
			if _, err := b.EndFlow(5, ""); err != nil { // still is
				t.Fatal(err)
			}
		}
		ids = append(ids, f.ID())
	}
	if len(ids) != 600 || !slices.IsSortedFunc(ids, func(a, b transport.FlowID) int { return int(b) - int(a) }) {
		t.Errorf("%d flows: %v", len(ids), ids)
	}
}

func TestPeersAreCountedUntilTheyLeave(t *testing.T) {
	b, cids := newBroker(t, nil)
	p := openPair(t, b, cids)
	idle := b.Attach(silentLink{}, transport.PeerInfo{Transport: "other"})
	list := func() (peers []broker.ConnectedPeer) {
		for c := range b.PeersBefore(broker.Latest, "") {
			peers = append(peers, c)
		}
		return peers
	}
	peers := list()
	if len(peers) != 3 || peers[0].Flow != 0 || peers[0].Info.Transport != "other" ||
		peers[1].Flow != 1 || peers[2].Flow != 1 || peers[2].Info.Identity != "c" || peers[2].Connected.IsZero() {
		t.Errorf("peers %+v", peers)
	}
	p.end()
	if peers := list(); len(peers) != 3 || peers[2].Flow != 0 {
		t.Errorf("after the flow's end: %+v", peers)
	}
	p.leave()
	idle.Leave("gone")
	if peers := list(); len(peers) != 0 {
		t.Errorf("after all have left: %+v", peers)
	}
}
