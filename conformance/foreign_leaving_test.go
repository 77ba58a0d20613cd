package conformance_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmqbridge"
)

// role is a peer's part in a flow.
type role struct{ client, gives bool }

func (r role) String() string {
	return map[bool]string{true: "client", false: "handler"}[r.client] + " that " + map[bool]string{true: "gives", false: "takes"}[r.gives]
}

var roles = []role{{true, true}, {true, false}, {false, true}, {false, false}}

// foreignFlow is a flow between a foreign peer and one of this process.
type foreignFlow struct {
	*activeFlow
	role    role
	foreign *foreignPeer
	partner peer
}

// begin opens a flow in which the foreign peer has that role.
func (g *foreignGateway) begin(t *testing.T, p *foreignPeer, r role, credit int64) *foreignFlow {
	t.Helper()
	f := &foreignFlow{role: r, foreign: p, partner: g.partner(t)}
	client, handler, direction := peer(p), f.partner, zio.Extract
	if !r.client {
		client, handler = handler, client
	}
	if r.client != r.gives {
		direction = zio.Inject
	}
	f.activeFlow = openBetween(t, g.listener, client, handler, direction, credit)
	return f
}

// big is DAT n of those that no socket takes at once.
func big(n int64) *zio.Message { return datMessage(random()[n:5_000_000], random()[:n]) }

// give has the giver send large messages, as many as the taker has paid for. It returns
// the EOT that ends the flow before.
func (f *foreignFlow) give(t *testing.T) *message {
	t.Helper()
	var held int64
	for n := range f.credit {
		for held == 0 {
			m, err := f.giver.recv()
			if err != nil {
				t.Fatal(err)
			}
			if m.Type == zio.EOT {
				return m
			}
			held += m.Credit // perhaps not all that was paid: memory is bounded
		}
		held--
		mustSend(t, f.giver, big(n))
	}
	return nil
}

// told waits until the partner is told of the flow's end: before that come no more
// than the messages that are under way, whole and without a gap.
func (f *foreignFlow) told(t *testing.T) *message {
	t.Helper()
	var next int64
	for range 2*f.credit + 1 {
		m, err := f.partner.recv()
		if err != nil {
			t.Fatalf("the partner of %v, a %v: %v", f.foreign.kind, f.role, err)
		}
		switch {
		case m.Type == zio.EOT:
			return m
		case f.role.gives && (m.Type != zio.DAT || hashOf(m.Payload) != hashOf(big(next).Payload)):
			t.Fatalf("in the place of DAT %d came %s with %v", next, m.Label, partSizes(m.Payload))
		case !f.role.gives && m.Type != zio.PAY:
			t.Fatalf("before the end came %s", m.Label)
		}
		next++
	}
	t.Fatalf("more than %d messages came", 2*f.credit)
	return nil
}

// TestForeignKilled_BRK_15_BRK_17: a peer that is killed in the middle of a flow, with
// messages of 5 MB under way or none, is known to have gone at once.
func TestForeignKilled_BRK_15_BRK_17(t *testing.T) {
	onBothMechanisms(t, func(t *testing.T, curve bool) {
		g := startForeign(t, curve, nil)
		for i, k := range foreignKinds(curve) {
			for j, r := range roles {
				loaded := (i+j)%2 == 0
				t.Run(fmt.Sprintf("%v, %v, loaded %t", k, r, loaded), func(t *testing.T) {
					f := g.begin(t, g.foreign(t, k), r, 2)
					f.cross(t, 1)
					limit := soon
					if loaded {
						limit *= 3 // what is under way crosses first
						mustSend(t, f.taker, payMessage(f.credit))
						if m := f.give(t); m != nil {
							t.Fatalf("the giver was sent %s", m.Label)
						}
					}
					begin := time.Now()
					f.foreign.leave()
					checkOwnEOT(t, f.told(t), flow.PeerGone, " left")
					if took := time.Since(begin); took > limit {
						t.Errorf("the partner was told after %v, want less than %v", took, limit)
					}
					g.wantEnd(t, flow.PeerGone)
				})
			}
		}
	})
}

// The limits with which a gateway under test notices a frozen peer.
const (
	heartbeat        = 300 * time.Millisecond
	heartbeatTimeout = 1500 * time.Millisecond
	stall            = 2 * time.Second
)

func noticeSoon(o *zmqbridge.Options) {
	o.Heartbeat, o.HeartbeatTimeout, o.Stall = heartbeat, heartbeatTimeout, stall
}

// TestForeignFrozen_BRK_15_BRK_17: a peer that is stopped is noticed by the heartbeat
// while nothing waits for it, and begins anew when it goes on. One of ZMTP 3.0 can be
// asked for nothing.
func TestForeignFrozen_BRK_15_BRK_17(t *testing.T) {
	onBothMechanisms(t, func(t *testing.T, curve bool) {
		g := startForeign(t, curve, noticeSoon)
		var flows []*foreignFlow
		for i, k := range foreignKinds(curve) {
			if k.pinged {
				f := g.begin(t, g.foreign(t, k), roles[i%len(roles)], 4)
				f.cross(t, 1)
				flows = append(flows, f)
			}
		}
		begin := time.Now()
		for _, f := range flows {
			f.foreign.freeze(t)
		}
		for _, f := range flows {
			checkOwnEOT(t, f.told(t), flow.PeerGone, " left")
		}
		if took := time.Since(begin); took < heartbeatTimeout || took > heartbeat+heartbeatTimeout+soon {
			t.Errorf("the partners were told after %v, want between %v and %v", took, heartbeatTimeout, heartbeat+heartbeatTimeout+soon)
		}
		for _, f := range flows {
			f.foreign.thaw(t)
			g.beginsAnew(t, f.foreign)
		}
	})
}

// TestForeignFrozenLoaded_BRK_16_BRK_17: a taker that is stopped while messages wait for
// it is cut after as long as it may take no byte.
func TestForeignFrozenLoaded_BRK_16_BRK_17(t *testing.T) {
	notWithLibzmq(t, "has its PING wait behind a message that is being written, and tells of no byte of that")
	onBothMechanisms(t, func(t *testing.T, curve bool) {
		g := startForeign(t, curve, noticeSoon)
		var flows []*foreignFlow
		for i, k := range foreignKinds(curve) {
			flows = append(flows, g.begin(t, g.foreign(t, k), role{client: i%2 == 0}, 4))
		}
		for _, f := range flows {
			mustSend(t, f.foreign, payMessage(f.credit))
			if m := mustRecv(t, f.partner, zio.PAY); m.Credit != f.credit {
				t.Fatalf("the giver was paid %d, want %d", m.Credit, f.credit)
			}
			f.foreign.freeze(t)
			for n := range f.credit { // before the heartbeat is the first to notice
				mustSend(t, f.partner, big(n))
			}
		}
		begin := time.Now()
		for _, f := range flows {
			checkOwnEOT(t, f.told(t), flow.Overrun, "took no byte")
		}
		if took := time.Since(begin); took > stall+soon {
			t.Errorf("the partners were told after %v, want less than %v", took, stall+soon)
		}
		for _, f := range flows {
			f.foreign.thaw(t)
			g.beginsAnew(t, f.foreign)
		}
	})
}

// beginsAnew has a peer that was cut open another flow. What it had received before
// comes first.
func (g *foreignGateway) beginsAnew(t *testing.T, p *foreignPeer) {
	t.Helper()
	partner := g.partner(t)
	mustSend(t, partner, botMessage(zio.Inject, 2, g.offerTo(t, p)))
	mustRecv(t, partner, zio.BOT)
	p.skipTo(t, zio.BOT)
	mustSend(t, partner, payMessage(1))
	p.skipTo(t, zio.PAY)
	mustSend(t, p, big(1))
	if m := mustRecv(t, partner, zio.DAT); hashOf(m.Payload) != hashOf(big(1).Payload) {
		t.Errorf("%v begins anew, and gives parts of %v", p.kind, partSizes(m.Payload))
	}
	mustSend(t, p, eotMessage())
	mustRecv(t, partner, zio.EOT)
	mustSend(t, partner, eotMessage())
	m := p.skipTo(t, zio.EOT)
	for m.end.Reason != "" { // the end of the flow before
		m = p.skipTo(t, zio.EOT)
	}
}

// offerTo has a peer send a BOT until the listener is offered its flow: what it sends
// into a connection that was cut is lost.
func (g *foreignGateway) offerTo(t *testing.T, p *foreignPeer) uint64 {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		mustSend(t, p, botMessage(zio.Extract, 2, 0))
		select {
		case event := <-g.listener.events:
			return event.GetOffer().GetCid()
		case <-time.After(500 * time.Millisecond):
		}
	}
	t.Fatalf("%v does not connect again", p.kind)
	return 0
}
