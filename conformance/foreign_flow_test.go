package main_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
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
// kind, as client and as handler: clients give with NULL and take with CURVE. Each is the
// handler of one and then the client of another; either side ends the flow.
func TestForeignPairing_MSG_4_MSG_9_MSG_11_FLOW_13_FLOW_22_BRK_1_BRK_4_BRK_10_BRK_11(t *testing.T) {
	onBothMechanisms(t, func(t *testing.T, curve bool) {
		g := startForeign(t, curve, nil)
		peers, takerEnds, direction := g.foreignOf(t, anyKind), false, zio.Extract
		if curve {
			direction = zio.Inject
		}
		for i, client := range peers {
			handler := peers[(i+1)%len(peers)]
			x := pairing{gateway: g.inProcess, listener: g.listener, client: client, handler: handler,
				clientVia: client.kind.via, handlerVia: handler.kind.via, direction: direction}
			good := t.Run(fmt.Sprintf("%v to %v", client.kind, handler.kind), func(t *testing.T) {
				for _, p := range foreignParts {
					x.run(t, p, takerEnds)
					takerEnds = !takerEnds
				}
			})
			if !good {
				return // one of them has left, or is in a flow that has not ended
			}
			takerEnds = !takerEnds
		}
	})
}

// TestForeignHeartbeats_BRK_17: peers that ask for signs of life themselves, several
// times in the span of the test, get them while nothing else crosses. When they are
// stopped, they have gone after the time for which they said they would be silent.
func TestForeignHeartbeats_BRK_17(t *testing.T) {
	t.Parallel()
	const interval = 300 * time.Millisecond
	var flows []*foreignFlow
	var ends []chan transport.FlowID
	// The gateway's own questions would be signs of life as well.
	for _, g := range startBoth(t, func(o *zmqbridge.Options) { o.Heartbeat = 0 }) {
		ends = append(ends, g.ends)
		for i, p := range g.foreignOf(t, func(k foreignKind) bool { return k.pings }, fmt.Sprint("heartbeat=", interval.Milliseconds())) {
			flows = append(flows, g.begin(t, p, roles[i%len(roles)], 2))
		}
	}
	select { // a peer that is not answered for five intervals closes its connection
	case id := <-ends[0]:
		t.Errorf("flow %d with NULL has ended", id)
	case id := <-ends[1]:
		t.Errorf("flow %d with CURVE has ended", id)
	case <-time.After(8 * interval):
	}
	for _, f := range flows {
		f.cross(t, 2)
	}
	if engine() == "libzmq" {
		return // which does not keep to a peer's TTL
	}
	begin := freeze(t, flows)
	for _, f := range flows {
		checkOwnEOT(t, f.told(t), flow.PeerGone, " left")
	}
	checkTook(t, begin, 0, 5*interval)
}
