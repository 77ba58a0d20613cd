package broker_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// wire is a link that describes itself, and can be disconnected. One goroutine uses
// it.
type wire struct {
	silentLink
	info      transport.LinkInfo
	described int
	told      []string // what it was sent and done
}

func (w *wire) Describe() transport.LinkInfo { w.described++; return w.info }

func (w *wire) Deliver(d transport.Delivery) error {
	if d.Type == zio.EOT {
		w.told = append(w.told, fmt.Sprintf("%v: %s", d.Reason, d.Detail))
	}
	return w.silentLink.Deliver(d)
}

func (w *wire) Disconnect(detail string) { w.told = append(w.told, "disconnected: "+detail) }

// wired makes an active flow between a wire and a silent link.
func wired(t *testing.T, b *broker.Broker, cids chan uint64, client *wire) *pair {
	t.Helper()
	p := &pair{t: t, broker: b}
	p.client = b.Attach(client, transport.PeerInfo{Transport: "wire", Name: "c"})
	p.handler = b.Attach(silentLink{}, transport.PeerInfo{Transport: "silent"})
	p.say(p.client, `{"flow":"BOT","direction":"extract","credit":4}`, 7)
	p.say(p.handler, fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":4,"cid":%d}`, <-cids), 5)
	return p
}

func peersOf(b *broker.Broker, transport string) (peers []broker.ConnectedPeer) {
	for c := range b.PeersBefore(broker.Latest, transport) {
		peers = append(peers, c)
	}
	return peers
}

// TestPeersAreDescribed: by their links, and by their flow what those leave open.
func TestPeersAreDescribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, cids := newBroker(t, nil)
		begin := time.Now()
		client := &wire{info: transport.LinkInfo{Protocol: "W 1", Mechanism: "none", BytesOut: 3, QueuedMessages: 2, QueuedBytes: 20}}
		p := wired(t, b, cids, client)
		want := func(clientSeen, handlerSeen time.Duration, fromClient, fromHandler uint64) {
			t.Helper()
			peers := peersOf(b, "")
			link := client.info
			link.BytesIn, link.LastSeen = fromClient, begin.Add(clientSeen)
			if got := peers[1].Link; peers[1].Flow != 1 || got != link {
				t.Errorf("the client's link is %+v, want %+v", got, link)
			}
			link = transport.LinkInfo{BytesIn: fromHandler, BytesOut: fromClient, LastSeen: begin.Add(handlerSeen)}
			if got := peers[0].Link; peers[0].Flow != 1 || got != link {
				t.Errorf("the handler's link is %+v, want %+v", got, link)
			}
		}
		time.Sleep(time.Second)
		want(0, 0, 7, 5)
		p.pay(2)
		time.Sleep(time.Second)
		p.dat(100)
		time.Sleep(time.Second)
		want(2*time.Second, time.Second, 107, 5)

		client.info.BytesIn, client.info.LastSeen = 9, begin
		if got := peersOf(b, "wire"); len(got) != 1 || got[0].Link != client.info {
			t.Errorf("a link that knows all is shown as %+v, want %+v", got, client.info)
		}
		p.end()
		client.info = transport.LinkInfo{Protocol: "W 1"}
		if got := peersOf(b, "wire"); got[0].Flow != 0 || got[0].Link != client.info {
			t.Errorf("after the flow's end it is shown as %+v, want %+v", got, client.info)
		}
		p.leave()
	})
}

// TestOthersAreNotLookedAt: a listing of one transport asks no link of another.
func TestOthersAreNotLookedAt(t *testing.T) {
	b, _ := newBroker(t, nil)
	asked := &wire{}
	crowd := []*broker.Peer{b.Attach(asked, transport.PeerInfo{Transport: "wire"})}
	for range 1000 {
		crowd = append(crowd, b.Attach(silentLink{}, transport.PeerInfo{Transport: "silent"}))
	}
	if got := peersOf(b, "silent"); len(got) != 1000 || asked.described != 0 {
		t.Errorf("%d peers were listed, and the other one was asked %d times", len(got), asked.described)
	}
	if got := peersOf(b, "wire"); len(got) != 1 || asked.described != 1 {
		t.Errorf("%d peers were listed, and the one was asked %d times", len(got), asked.described)
	}
	for range b.PeersBefore(broker.Latest, "") {
		break
	}
	if asked.described != 1 {
		t.Error("a peer was asked that comes behind where the caller stopped")
	}
	for _, p := range crowd {
		p.Leave("done")
	}
}

// TestDisconnect: the flow is ended first, so that both sides are told why.
func TestDisconnect(t *testing.T) {
	b, cids := newBroker(t, nil)
	client := &wire{info: transport.LinkInfo{Protocol: "W 1"}}
	p := wired(t, b, cids, client)
	was, err := b.Disconnect(1, "beam off")
	if err != nil || was.ID != 1 || was.Info.Name != "c" || was.Flow != 1 || was.Link.Protocol != "W 1" {
		t.Errorf("disconnected %+v, %v", was, err)
	}
	if got := fmt.Sprint(client.told); got != "[ended_by_admin: beam off disconnected: beam off]" {
		t.Errorf("the client was told %s", got)
	}
	if info := p.info(); info.Reason != flow.EndedByAdmin || info.Detail != "beam off" {
		t.Errorf("the flow ended with %v: %s", info.Reason, info.Detail)
	}
	if _, err := b.Disconnect(1, "again"); err != nil || client.told[2] != "disconnected: again" {
		t.Errorf("again, without a flow: %v, %v", err, client.told)
	}
	p.client.Leave("was disconnected")
	if _, err := b.Disconnect(1, ""); !errors.Is(err, broker.ErrNoPeer) {
		t.Errorf("after it has left: %v, want %v", err, broker.ErrNoPeer)
	}
	p.handler.Leave("done")
}

// TestDisconnectNeedsAConnection: who is inside the gateway stays, and so does its
// flow.
func TestDisconnectNeedsAConnection(t *testing.T) {
	b, cids := newBroker(t, nil)
	p := openPair(t, b, cids)
	was, err := b.Disconnect(2, "beam off")
	if !errors.Is(err, broker.ErrNoConnection) || was.Info.Identity != "h" || p.info().Phase != flow.Active {
		t.Errorf("disconnected %+v, %v, and its flow is %v", was, err, p.info().Phase)
	}
	p.leave()
}

// TestWaitingReaders: who waits for room to read is counted until there is some.
func TestWaitingReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBroker(t, func(o *broker.Options) { o.MaxMessage, o.MaxBytes, o.MaxFlowBytes = 100, 100, 100 })
		first := b.Attach(silentLink{}, transport.PeerInfo{Transport: "fake", Address: "a"})
		second := b.Attach(silentLink{}, transport.PeerInfo{Transport: "fake", Address: "b"})
		first.Bytes().Add(90)
		second.Bytes().Add(5)
		charged := make(chan bool)
		go func() { charged <- second.Bytes().Charge(10, 0, nil) }()
		synctest.Wait()
		if b.WaitingReaders() != 1 || b.Held() != 95 {
			t.Errorf("%d wait, %d bytes are held, want 1 and 95", b.WaitingReaders(), b.Held())
		}
		first.Bytes().Release(90)
		if !<-charged || b.WaitingReaders() != 0 || b.Held() != 15 {
			t.Errorf("%d wait, %d bytes are held, want 0 and 15", b.WaitingReaders(), b.Held())
		}
		first.Early().Add(1 << 30) // more than peers without a flow share
		go func() { charged <- second.Early().Charge(10, budget.NoFree, nil) }()
		synctest.Wait()
		if b.WaitingReaders() != 1 || b.Exhausted() {
			t.Errorf("%d wait, exhausted is %v, want 1 and false", b.WaitingReaders(), b.Exhausted())
		}
		first.Early().Release(1 << 30)
		if !<-charged || b.WaitingReaders() != 0 {
			t.Errorf("%d wait, want 0", b.WaitingReaders())
		}
		first.Leave("done")
		second.Leave("done")
	})
}
