package zmqbridge_test

import (
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// latest is the flow that was opened last.
func (g *rig) latest() relay.Info {
	for f := range g.broker.FlowsBefore(broker.Latest) {
		return f.Info()
	}
	return relay.Info{}
}

// TestWhatHasCrossedHasLeft: of a taker that goes away what it was sent counts as
// crossed, and not what still waited for it; in its next flow nothing of the one before.
func TestWhatHasCrossedHasLeft(t *testing.T) {
	t.Parallel()
	const dats, size = 64, 1 << 20 // more than two sockets hold
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		taker, giver := g.dial(kind), g.dial(kind)
		g.opens(taker, giver, dats)
		giver.say(`{"flow":"DAT"}`, make([]byte, size))
		giver.say(`{"flow":"DAT"}`, nil)
		taker.want(zio.DAT)
		taker.want(zio.DAT)
		g.closes(taker, giver)
		if info := g.latest(); info.Reason != flow.Completed || info.Data != (transport.Count{Messages: 2, Bytes: size}) {
			t.Errorf("the first flow: %v, %+v crossed", info.Reason, info.Data)
		}
		g.opens(taker, giver, dats)
		for range dats {
			giver.say(`{"flow":"DAT"}`, make([]byte, size))
		}
		until(t, "all was passed on", func() bool { return g.latest().FromHandler.DATs+g.latest().FromClient.DATs == dats })
		for range 3 {
			taker.want(zio.DAT)
		}
		reset(taker)
		until(t, "the flow ends", func() bool { return g.latest().Phase == flow.Ended })
		info := g.latest()
		if info.Reason != flow.PeerGone || info.Data.Messages < 2 || info.Data.Messages > dats/2 || info.Data.Bytes != info.Data.Messages*size {
			t.Errorf("the second flow: %v, %+v crossed of %d messages, most of which nobody has read", info.Reason, info.Data, dats)
		}
	})
}
