package broker_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
)

// TestNobodyIsWaitedForInVain: a flow that has ended is not kept in memory for the time
// that its client has to answer the EOT once the client has begun anew, has left or has
// answered.
func TestNobodyIsWaitedForInVain(t *testing.T) {
	t.Parallel()
	const bot = `{"flow":"BOT","direction":"extract","credit":1}`
	for name, then := range map[string]func(*pair){
		"begins anew": func(p *pair) { p.say(p.client, bot, 0) },
		"leaves":      func(p *pair) { p.client.Leave("it is done") },
		"answers":     func(p *pair) { p.say(p.client, `{"flow":"EOT"}`, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, cids := newBroker(t, func(o *broker.Options) { o.KeepEnded, o.EOTTimeout = 0, time.Hour })
			p := &pair{t: t, broker: b, client: b.Attach(silentLink{}, transport.PeerInfo{Identity: "c"})}
			p.client.Stays()
			flows := make([]weak.Pointer[relay.Flow], 100)
			for i := range flows {
				if name == "leaves" && i > 0 {
					p.client = b.Attach(silentLink{}, transport.PeerInfo{Identity: "c"})
					p.client.Stays()
				}
				if name != "begins anew" || i == 0 {
					p.say(p.client, bot, 0)
				}
				p.handler = b.Attach(silentLink{}, transport.PeerInfo{Identity: "h"})
				p.say(p.handler, fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":1,"cid":%d}`, <-cids), 0)
				flows[i] = weak.Make(p.client.Flow())
				p.handler.Leave("it is tired") // so the client owes an answer
				then(p)
			}
			kept := len(flows)
			for begun := time.Now(); kept > 1 && time.Since(begun) < 10*time.Second; kept = left(flows) {
				runtime.GC()
			}
			if kept > 1 { // the latest is the peer's
				t.Errorf("%d of %d flows are kept", kept, len(flows))
			}
			runtime.KeepAlive(p)
		})
	}
}

// left is how many of the flows are still there.
func left(flows []weak.Pointer[relay.Flow]) (n int) {
	for _, f := range flows {
		if f.Value() != nil {
			n++
		}
	}
	return n
}
