package admin

import (
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
)

// TestWatchQueueIsBounded: also in the bytes of labels.
func TestWatchQueueIsBounded(t *testing.T) {
	q := newWatchQueue(watchRoom)
	long := &relay.Info{Phase: flow.Ended, Label: make([]byte, 1<<20)}
	for range 100 {
		q.put(broker.Event{Flow: long}, true)
	}
	if len(q.events) != 17 || q.missed != 83 {
		t.Errorf("%d events wait and %d were missed", len(q.events), q.missed)
	}
	for range 17 {
		if next, ok := q.next(); !ok || next.Flow != long || next.missed != 0 {
			t.Fatalf("got %+v, %v", next, ok)
		}
	}
	if next, ok := q.next(); !ok || next.Flow != nil || next.missed != 83 {
		t.Errorf("got %+v, %v", next, ok)
	}
	if _, ok := q.next(); ok || q.labels != 0 {
		t.Errorf("%d bytes of labels in an empty queue", q.labels)
	}
	q.put(broker.Event{Flow: long, Missed: 3}, false)
	if next, ok := q.next(); !ok || next.missed != 3 {
		t.Errorf("got %+v, %v", next, ok)
	}
}
