package broker_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// passFlow has a flow begin and end: two events.
func passFlow(b *broker.Broker, label string) {
	p := b.Attach(transport.NewOutbox(10), transport.PeerInfo{Transport: "fake", Identity: "c"})
	p.Receive(&zio.Message{Form: zio.FormFlow, Label: []byte(label)})
	p.Leave("gone")
}

const givingBot = `{"flow":"BOT","direction":"extract","credit":4}`

// TestWatchAfter: a watch that was interrupted goes on with what has come meanwhile, each
// event once and in order, as far as it is remembered.
func TestWatchAfter(t *testing.T) {
	t.Parallel()
	b, _ := newBroker(t, nil)
	w := b.Watch(10)
	passFlow(b, givingBot)
	first, second := <-w.Events(), <-w.Events()
	w.Close()
	if second.ID != first.ID+1 {
		t.Errorf("events %d and %d", first.ID, second.ID)
	}
	const more = 2000
	for range more {
		passFlow(b, givingBot)
	}
	again, err := b.WatchAfter(10, first.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	passFlow(b, givingBot)
	if n := again.Backlog(); n != 2*more+1 {
		t.Errorf("%d events were missed, want %d", n, 2*more+1)
	}
	for want := first.ID + 1; want <= first.ID+2*more+3; want++ {
		e := <-again.Events()
		if e.ID != want || e.Missed != 0 || e.Flow.ID != transport.FlowID((want-first.ID)/2+1) || (e.Flow.Phase == flow.Ended) != ((want-first.ID)%2 == 1) {
			t.Fatalf("event %d of flow %d, %v, %d missed; want event %d", e.ID, e.Flow.ID, e.Flow.Phase, e.Missed, want)
		}
	}
}

// TestWatchAfterIsBounded: so many events are remembered, and so many bytes of labels; an
// event that was before them, or never, is refused.
func TestWatchAfterIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		label string
		flows int
		least int // remembered
		most  int
	}{
		"number": {givingBot, 3000, 4096, 4096},
		"labels": {fmt.Sprintf(`{"flow":"BOT","direction":"extract","credit":4,"a":"%0*d"}`, 900<<10, 0), 20, 10, 38},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := newBroker(t, nil)
			w := b.Watch(1)
			passFlow(b, givingBot)
			first := (<-w.Events()).ID
			w.Close()
			for range c.flows {
				passFlow(b, c.label)
			}
			_, err := b.WatchAfter(1, first)
			old, is := errors.AsType[*broker.EventError](err)
			if !is || old.Latest != first+1+2*uint64(c.flows) {
				t.Fatalf("after the first: %v", err)
			}
			if n := int(old.Latest - old.Oldest + 1); n < c.least || n > c.most {
				t.Errorf("%d events are remembered, want %d to %d", n, c.least, c.most)
			}
			w, err = b.WatchAfter(1, old.Oldest-1)
			if err != nil || w.Backlog() != int(old.Latest-old.Oldest+1) {
				t.Errorf("after the one before the oldest: %d, %v", w.Backlog(), err)
			}
			w.Close()
			for _, id := range []uint64{1, old.Oldest - 2, old.Latest + 1} {
				if _, err := b.WatchAfter(1, id); err == nil {
					t.Errorf("event %d: no error", id)
				}
			}
		})
	}
}
