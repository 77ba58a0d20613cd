package server

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/zioflow/gateway/broker/transport"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// flows has n flows begin and end, of which one in three is selected by "credit == 7".
func (r *rig) pass(n int) {
	for i := range n {
		credit := 5
		if i%3 == 0 {
			credit = 7
		}
		p := r.broker.Attach(transport.NewOutbox(10), transport.PeerInfo{Transport: "test"})
		(&otherSide{peer: p}).say(fmt.Sprintf(`{"flow":"BOT","direction":"extract","credit":%d}`, credit), nil)
		<-r.offers
		p.Leave("gone")
		synctest.Wait() // the selecting keeps up
	}
}

// TestMissedEvents: a watcher that did not read learns how much it has missed, of what
// it had asked for, as soon as it reads; no other event need come for that.
func TestMissedEvents(t *testing.T) {
	const flows = 9000
	for filter, asked := range map[string]int{"": flows, "credit == 7": flows / 3} {
		synctest.Test(t, func(t *testing.T) {
			r := adminRig(t, func(*Options) {})
			defer r.stop()
			watch, err := gatewayv1.NewAdminServiceClient(r.conn).WatchFlows(r.ctx, &gatewayv1.WatchFlowsRequest{
				Filter: filter, States: []gatewayv1.FlowState{gatewayv1.FlowState_FLOW_STATE_ENDED},
			})
			if err == nil {
				_, err = watch.Header()
			}
			if err != nil {
				t.Fatal(err)
			}
			r.pass(flows)
			seen, missed := 0, 0
			for seen+missed < asked {
				e, err := watch.Recv()
				if err != nil {
					t.Fatal(err)
				}
				if e.GetFlow() != nil {
					seen++
				} else if e.GetMissed() == 0 || e.GetTime() == nil {
					t.Errorf("got %v", e)
				}
				missed += int(e.GetMissed())
			}
			if seen+missed != asked || missed == 0 {
				t.Errorf("%q: %d events and %d missed, want %d in all, and some missed", filter, seen, missed, asked)
			}
			r.pass(1)
			if e, err := watch.Recv(); err != nil || e.GetMissed() != 0 || e.GetFlow() == nil {
				t.Errorf("after that: %v, %v", e, err)
			}
		})
	}
}
