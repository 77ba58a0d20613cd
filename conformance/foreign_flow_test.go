package conformance_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmqbridge"
)

// foreignParts are the flows of a pairing of foreign peers.
var foreignParts = []part{
	{corpora[0], 10, 3},
	{newCorpus("5 MB, three", 3, bigSizes(5_000_000), numbered), 2, 4},
}

// TestForeignPairing_MSG_4_MSG_9_MSG_11_FLOW_13_FLOW_22_BRK_1_BRK_4_BRK_10_BRK_11
// has every kind of peer on a library that is not ours exchange data with the next
// kind, as client and as handler: clients give with NULL and take with CURVE. Either
// side ends the flow.
func TestForeignPairing_MSG_4_MSG_9_MSG_11_FLOW_13_FLOW_22_BRK_1_BRK_4_BRK_10_BRK_11(t *testing.T) {
	onBothMechanisms(t, func(t *testing.T, curve bool) {
		g := startForeign(t, curve, nil)
		kinds, takerEnds, direction := foreignKinds(curve), false, zio.Extract
		if curve {
			direction = zio.Inject
		}
		for i, client := range kinds {
			handler := kinds[(i+1)%len(kinds)]
			t.Run(fmt.Sprintf("%v to %v", client, handler), func(t *testing.T) {
				x := pairing{gateway: g.gateway, listener: g.listener, client: g.foreign(t, client), handler: g.foreign(t, handler),
					clientVia: client.via, handlerVia: handler.via, direction: direction}
				for _, p := range foreignParts {
					x.run(t, p, takerEnds)
					takerEnds = !takerEnds
				}
			})
			takerEnds = !takerEnds
		}
	})
}

// TestForeignHeartbeats_BRK_17: peers that ask for signs of life themselves, several
// times in the span of the test, get them while nothing else crosses. When they are
// stopped, they have gone after the time for which they said they would be silent.
func TestForeignHeartbeats_BRK_17(t *testing.T) {
	onBothMechanisms(t, func(t *testing.T, curve bool) {
		// The gateway's own questions would be signs of life as well.
		g := startForeign(t, curve, func(o *zmqbridge.Options) { o.Heartbeat = 0 })
		var flows []*foreignFlow
		for i, k := range foreignKinds(curve) {
			if k.pings {
				flows = append(flows, g.begin(t, g.foreign(t, k, "heartbeat=300"), roles[i%len(roles)], 2))
			}
		}
		select {
		case id := <-g.ends: // a peer that was not answered for 900 ms has closed its connection
			t.Errorf("flow %d has ended", id)
		case <-time.After(2 * time.Second):
		}
		for _, f := range flows {
			f.cross(t, 2)
		}
		if engine() == "libzmq" {
			return // which does not keep to a peer's TTL
		}
		begin := time.Now()
		for _, f := range flows {
			f.foreign.freeze(t)
		}
		for _, f := range flows {
			checkOwnEOT(t, f.told(t), flow.PeerGone, " left")
		}
		if took := time.Since(begin); took > 3*soon {
			t.Errorf("the partners were told after %v, want less than %v", took, 3*soon)
		}
	})
}
