package broker_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// pair is a client and a handler of one flow, of which the links are sinks.
type pair struct {
	t               *testing.T
	broker          *broker.Broker
	client, handler *broker.Peer
	seqno           uint64
}

// newBroker is a broker whose listener notes the cids that it is offered.
func newBroker(t *testing.T, change func(*broker.Options)) (*broker.Broker, chan uint64) {
	t.Helper()
	options := broker.DefaultOptions()
	if change != nil {
		change(&options)
	}
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	cids := make(cidSink, 100_000)
	if _, err := b.Listen(listeners.Spec{Name: "l", Sink: cids}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(flow.Draining, "the test is over") })
	return b, cids
}

type cidSink chan uint64

func (k cidSink) Offer(o routing.Offer) error { k <- o.CID; return nil }
func (cidSink) Withdraw(uint64, flow.Reason)  {}

// openPair makes an active flow in which the client gives, with a credit of 4.
func openPair(t *testing.T, b *broker.Broker, cids chan uint64) *pair {
	t.Helper()
	p := &pair{t: t, broker: b}
	p.client = b.Attach(silentLink{}, transport.PeerInfo{Transport: "fake", Identity: "c"})
	p.handler = b.Attach(silentLink{}, transport.PeerInfo{Transport: "fake", Identity: "h"})
	p.say(p.client, `{"flow":"BOT","direction":"extract","credit":4,"stream":"s"}`, 3)
	p.say(p.handler, fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":4,"cid":%d}`, <-cids), 0)
	if info := p.info(); info.Phase != flow.Active {
		t.Fatalf("the flow is %v: %v %s", info.Phase, info.Reason, info.Detail)
	}
	return p
}

func (p *pair) say(from *broker.Peer, label string, size int) {
	p.seqno++
	from.Receive(&zio.Message{
		Form: zio.FormFlow, Label: []byte(label), Coord: zio.Coord{Seqno: p.seqno}, Payload: [][]byte{make([]byte, size)},
	})
}

func (p *pair) pay(n int)    { p.say(p.handler, fmt.Sprintf(`{"flow":"PAY","credit":%d}`, n), 0) }
func (p *pair) dat(size int) { p.say(p.client, `{"flow":"DAT"}`, size) }

func (p *pair) end() {
	p.say(p.client, `{"flow":"EOT"}`, 0)
	p.say(p.handler, `{"flow":"EOT"}`, 0)
}

func (p *pair) info() relay.Info { return p.client.Flow().Info() }

func (p *pair) leave() {
	p.client.Leave("gone")
	p.handler.Leave("gone")
}

// TestWhoHoldsItUp: at every moment the flow waits for the one whose move is
// next, and the time is put down to it.
func TestWhoHoldsItUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, cids := newBroker(t, nil)
		p := openPair(t, b, cids)
		want := func(by ledger.HeldUpBy, waits ledger.Waits) {
			t.Helper()
			info := p.info()
			if info.HeldUpBy != by || info.Waits != waits {
				t.Errorf("held up by %q, waits %+v; want %q, %+v", info.HeldUpBy, info.Waits, by, waits)
			}
		}
		time.Sleep(3 * time.Second)
		want(ledger.ByTaker, ledger.Waits{Taker: 3 * time.Second})
		p.pay(2)
		time.Sleep(time.Second)
		p.dat(1)
		time.Sleep(time.Second)
		want(ledger.ByGiver, ledger.Waits{Giver: 2 * time.Second, Taker: 3 * time.Second})
		p.dat(1)
		time.Sleep(4 * time.Second)
		want(ledger.ByTaker, ledger.Waits{Giver: 2 * time.Second, Taker: 7 * time.Second})
		p.say(p.client, `{"flow":"EOT"}`, 0)
		time.Sleep(time.Hour / 200) // half-closed: nobody's time
		want(ledger.ByNobody, ledger.Waits{Giver: 2 * time.Second, Taker: 7 * time.Second})
		if got, want := b.Stats().Waits, p.info().Waits; got != want {
			t.Errorf("in sum %+v, want %+v", got, want)
		}
		p.say(p.handler, `{"flow":"EOT"}`, 0)
		time.Sleep(time.Second)
		want(ledger.ByNobody, ledger.Waits{Giver: 2 * time.Second, Taker: 7 * time.Second})
		if got, want := b.Stats().Waits, p.info().Waits; got != want {
			t.Errorf("in sum %+v, want %+v", got, want)
		}
	})
}

// TestGatewayHoldsItUp: what the taker has paid and the gateway withholds is
// nobody's fault but the gateway's.
func TestGatewayHoldsItUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, cids := newBroker(t, func(o *broker.Options) {
			o.MaxMessage, o.MaxBytes, o.MaxFlowBytes = 1<<20, 1<<20, 1<<20
		})
		full := &fullLink{}
		p := openPair(t, b, cids)
		q := &pair{t: t, broker: b, client: b.Attach(silentLink{}, transport.PeerInfo{}), handler: b.Attach(full, transport.PeerInfo{})}
		q.say(q.client, `{"flow":"BOT","direction":"extract","credit":4}`, 0)
		q.say(q.handler, fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":4,"cid":%d}`, <-cids), 0)
		q.pay(4)
		full.queued.Store(1)
		q.dat(1 << 20)
		time.Sleep(time.Second)
		if info := q.info(); info.HeldUpBy != ledger.ByGateway || info.Withheld == 0 || info.Waits.Gateway == 0 {
			t.Errorf("held up by %q, withheld %d, waits %+v", info.HeldUpBy, info.Withheld, info.Waits)
		}
		one, other := p.info(), q.info()
		if s := b.Stats(); s.Withheld != other.Withheld || s.QueuedBytes != 1<<20 || s.Queued != 1 ||
			s.Outstanding != one.Outstanding()+other.Outstanding() {
			t.Errorf("in sum %+v", s)
		}
	})
}

// fullLink says that something is queued.
type fullLink struct {
	silentLink
	queued atomic.Int64 // messages of 1 MiB
}

func (l *fullLink) Queued() (messages, bytes int64) {
	return l.queued.Load(), l.queued.Load() << 20
}

func TestRateIsOfTheLastSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, cids := newBroker(t, nil)
		p := openPair(t, b, cids)
		p.pay(1)
		for range 100 { // 10 a second, of 50 bytes each
			time.Sleep(100 * time.Millisecond)
			p.dat(50)
			p.pay(1)
		}
		if info := p.info(); info.MessageRate < 9 || info.MessageRate > 11 || info.ByteRate != 50*info.MessageRate {
			t.Errorf("%v/s, %v bytes/s, want about 10 and 500", info.MessageRate, info.ByteRate)
		}
		if info := p.info(); !info.LastDAT.Equal(time.Now()) || !info.LastPAY.Equal(time.Now()) {
			t.Errorf("last DAT %v, PAY %v, want now, %v", info.LastDAT, info.LastPAY, time.Now())
		}
		last := time.Now()
		time.Sleep(6 * time.Second)
		if info := p.info(); info.MessageRate != 0 || !info.LastDAT.Equal(last) {
			t.Errorf("after a rest: %v/s, last DAT %v, want 0 and %v", info.MessageRate, info.LastDAT, last)
		}
		for range 3 {
			p.dat(1)
			p.pay(1)
		}
		if info := p.info(); info.MessageRate < 3./5 || info.MessageRate > 3./4 {
			t.Errorf("after three more: %v/s, want 3 in 4 to 5 s", info.MessageRate)
		}
	})
}

func TestTrafficOfBothSides(t *testing.T) {
	b, cids := newBroker(t, nil)
	p := openPair(t, b, cids)
	p.pay(3)
	for _, size := range []int{0, 64, 65, 200 << 20} { // the last is too large
		p.dat(size)
	}
	info := p.info()
	if want := (ledger.Traffic{Messages: 4, Bytes: 3 + 0 + 64 + 65, DATs: 3}); info.FromClient != want {
		t.Errorf("from the client %+v, want %+v", info.FromClient, want)
	}
	if want := (ledger.Traffic{Messages: 2}); info.FromHandler != want {
		t.Errorf("from the handler %+v, want %+v", info.FromHandler, want)
	}
	if want := (ledger.Sizes{0: 2, 1: 1}); info.Sizes != want || info.Data != (transport.Count{Messages: 3, Bytes: 129}) {
		t.Errorf("sizes %v, data %+v", info.Sizes, info.Data)
	}
	if info.Reason != flow.MessageTooLarge || info.Ended.IsZero() || string(info.Label) == "" {
		t.Errorf("ended %v %v, label %s", info.Ended, info.Reason, info.Label)
	}
}

func TestLongLabelIsNotRemembered(t *testing.T) {
	b, cids := newBroker(t, nil)
	p := &pair{t: t, broker: b, client: b.Attach(silentLink{}, transport.PeerInfo{}), handler: b.Attach(silentLink{}, transport.PeerInfo{})}
	w := b.Watch(10)
	defer w.Close()
	p.say(p.client, fmt.Sprintf(`{"flow":"BOT","direction":"extract","credit":4,"x":%q}`, strings.Repeat("x", 4<<10)), 0)
	<-cids
	if len(p.info().Label) < 4<<10 {
		t.Fatalf("label of a live flow: %s", p.info().Label)
	}
	p.client.Leave("gone")
	if label := p.info().Label; label != nil {
		t.Errorf("label of an ended flow: %s", label)
	}
	for e := range w.Events() {
		if len(e.Flow.Label) < 4<<10 {
			t.Errorf("in the event %v the label is %s", e.Flow.Phase, e.Flow.Label)
		}
		if e.Flow.Phase == flow.Ended {
			break
		}
	}
}
