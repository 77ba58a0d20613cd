package broker_test

import (
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

type silentLink struct{}

func (silentLink) Deliver(d transport.Delivery) error { d.Message.Release(); return nil }
func (silentLink) Ended(flow.Reason, string)          {}
func (silentLink) Flush()                             {}
func (silentLink) Queued() (messages, bytes int64)    { return 0, 0 }

// openAndEnd has a flow without a handler begin and end.
func openAndEnd(b *broker.Broker) {
	client := b.Attach(silentLink{}, transport.PeerInfo{})
	client.Receive(&zio.Message{Label: []byte(`{"flow":"BOT","direction":"extract","credit":1}`)})
	client.Leave("has had enough")
}

func TestWatchTellsPhasesAndWhatWasMissed(t *testing.T) {
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	w := b.Watch(2)
	openAndEnd(b)
	openAndEnd(b)
	openAndEnd(b)
	next := func() broker.Event {
		select {
		case e := <-w.Events():
			return e
		default:
			t.Fatal("no event")
			return broker.Event{}
		}
	}
	if e := next(); e.Flow.ID != 1 || e.Flow.Phase != flow.Pending || e.Missed != 0 {
		t.Errorf("first event %+v", e)
	}
	if e := next(); e.Flow.ID != 1 || e.Flow.Reason != flow.PeerGone || e.Missed != 0 {
		t.Errorf("second event %+v", e)
	}
	openAndEnd(b)
	if e := next(); e.Flow.ID != 4 || e.Missed != 4 {
		t.Errorf("after a gap of 4: %+v", e)
	}
	w.Close()
	w.Close()
	openAndEnd(b)
	next()
	if _, open := <-w.Events(); open {
		t.Error("an event after Close")
	}
}
