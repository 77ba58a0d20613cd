package broker_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// lateLink is a link that keeps what it is delivered until it is flushed, as those
// of native peers do. One goroutine uses it.
type lateLink struct {
	silentLink
	waiting, written []zio.Type
}

func (l *lateLink) Deliver(d transport.Delivery) error {
	l.waiting = append(l.waiting, d.Type)
	d.Message.Release()
	return nil
}

func (l *lateLink) Flush() { l.written, l.waiting = append(l.written, l.waiting...), nil }

// TestEndFlowIsWritten: nothing comes behind the EOT that says that an operator has
// ended the flow, so EndFlow itself has it written.
func TestEndFlowIsWritten(t *testing.T) {
	b, cids := newBroker(t, nil)
	var sides [2]lateLink
	p := &pair{t: t, broker: b}
	p.client = b.Attach(&sides[flow.Client], transport.PeerInfo{Transport: "fake"})
	p.handler = b.Attach(&sides[flow.Handler], transport.PeerInfo{Transport: "fake"})
	p.say(p.client, `{"flow":"BOT","direction":"extract","credit":4}`, 0)
	p.say(p.handler, fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":4,"cid":%d}`, <-cids), 0)
	if _, err := b.EndFlow(p.client.Flow().ID(), "enough"); err != nil {
		t.Fatal(err)
	}
	for side := range sides {
		if got := sides[side].written; !slices.Equal(got, []zio.Type{zio.BOT, zio.EOT}) {
			t.Errorf("the %v was sent %v, want BOT and EOT", flow.Side(side), got)
		}
	}
	p.leave()
}
