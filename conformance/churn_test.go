package main_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestChurn_BRK_7_BRK_15_BRK_16_BRK_17: takers that do not read, and peers that
// leave in the middle of a stream of data, hold up nobody else. (The reference
// broker hung in every other such trial.)
func TestChurn_BRK_7_BRK_15_BRK_16_BRK_17(t *testing.T) {
	g := startGateway(t, withDefaultRoutes)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "honest", Match: "!('size' in attributes)"})
	for _, via := range transports {
		takeWithoutReading(t, g.dial(t, via)) // all the while
	}
	for _, via := range transports {
		honest := g.openFlow(t, l, via, viaClient, zio.Extract, 2)
		for n := range 15 {
			p := g.dial(t, transports[n%len(transports)])
			takeWithoutReading(t, p)
			begin := time.Now()
			p.leave()
			honest.cross(t, 2)
			wantSoon(t, begin)
			g.wantEnd(t, flow.PeerGone)
		}
		honest.end(t)
		g.wantEnd(t, flow.Completed)
	}
}

// takeWithoutReading asks generate for much, and reads but the beginning.
func takeWithoutReading(t *testing.T, p peer) {
	t.Helper()
	mustSend(t, p, flowMessage(fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":50,"count":%d,"size":200000}`, 1<<40)))
	mustRecv(t, p, zio.BOT)
	mustSend(t, p, payMessage(50))
	mustRecv(t, p, zio.DAT)
}
