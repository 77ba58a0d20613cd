package zmqbridge_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// inside is a peer in this process: what it gives is with the broker at once.
type inside struct {
	t      *testing.T
	rig    *rig
	outbox *transport.Outbox
	peer   *broker.Peer
	came   []transport.Delivery // and was not looked at yet
}

func (g *rig) inside() *inside {
	return g.insideOf(func(o *transport.Outbox) transport.Link { return o })
}

// insideOf is inside for a peer with a link of its own.
func (g *rig) insideOf(link func(*transport.Outbox) transport.Link) *inside {
	outbox := transport.NewOutbox(1000)
	i := &inside{t: g.t, rig: g, outbox: outbox, peer: g.broker.Attach(link(outbox), transport.PeerInfo{Transport: "test"})}
	g.t.Cleanup(func() {
		i.peer.Leave("the test is over")
		outbox.Close()
	})
	return i
}

func (i *inside) say(label string, payload ...[]byte) {
	i.peer.Receive(&zio.Message{Form: zio.FormFlow, Label: []byte(label), Payload: payload})
}

// give gives a DAT.
func (i *inside) give(payload ...[]byte) { i.say(`{"flow":"DAT"}`, payload...) }

// want waits for a message of that type, and passes over others.
func (i *inside) want(typ zio.Type) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), patient)
	defer cancel()
	for {
		for n, d := range i.came {
			d.Message.Release()
			if d.Type == typ {
				i.came = i.came[n+1:]
				return
			}
		}
		var err error
		if i.came, err = i.outbox.Take(ctx, nil); err != nil {
			i.t.Fatal(err)
		}
	}
}

// opens opens a flow in which i gives, and has been paid all the credit.
func (i *inside) opens(taker *raw, credit int64) {
	i.t.Helper()
	taker.say(bot(zio.Inject, credit, 0))
	i.say(bot(zio.Extract, credit, i.rig.offered().CID))
	taker.want(zio.BOT)
	taker.say(fmt.Sprintf(`{"flow":"PAY","credit":%d}`, credit))
	i.want(zio.PAY)
}
