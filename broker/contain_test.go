package broker_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// brittle is a link in which some messages meet an error of the gateway's own, and
// others wait, as many as that. One goroutine at a time uses it.
type brittle struct {
	silentLink
	breaks func(transport.Delivery) bool
	waits  int64
	told   []string // the EOTs' details
}

func (l *brittle) Deliver(d transport.Delivery) error {
	if l.breaks != nil && l.breaks(d) {
		panic("an error that a test has put there")
	}
	if d.Type == zio.EOT {
		l.told = append(l.told, fmt.Sprintf("%v: %s", d.Reason, d.Detail))
	}
	return l.silentLink.Deliver(d)
}

func (l *brittle) Queued() (messages, bytes int64) { return l.waits, l.waits }

// between makes an active flow in which the client gives.
func between(t *testing.T, b *broker.Broker, cids chan uint64, client, handler transport.Link) *pair {
	t.Helper()
	p := &pair{t: t, broker: b}
	p.client = b.Attach(client, transport.PeerInfo{Transport: "fake", Identity: "c"})
	p.handler = b.Attach(handler, transport.PeerInfo{Transport: "fake", Identity: "h"})
	p.say(p.client, `{"flow":"BOT","direction":"extract","credit":4}`, 0)
	p.say(p.handler, fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":4,"cid":%d}`, <-cids), 0)
	return p
}

// wantAborted checks that the flow has ended by an error of the gateway's own, that the
// operator can see it, and that the broker goes on.
func wantAborted(t *testing.T, b *broker.Broker, cids chan uint64, p *pair, log *strings.Builder) {
	t.Helper()
	if info := p.info(); info.Phase != flow.Ended || info.Reason != flow.PeerGone && info.Reason != flow.IdleTimeout {
		t.Errorf("the flow is %v: %v %s", info.Phase, info.Reason, info.Detail)
	}
	if n := b.Live(); n != 0 {
		t.Errorf("%d flows live", n)
	}
	if n := strings.Count(log.String(), "panic on a flow"); n != 1 {
		t.Errorf("%d lines tell of it, want 1: %s", n, log)
	}
	openPair(t, b, cids)
}

// A panic in the budget's sweeper ends the flow that it was about.
func TestPanicWhilePaying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(strings.Builder)
		b, cids := newBroker(t, func(o *broker.Options) {
			o.MaxMessage, o.MaxBytes, o.MaxFlowBytes = 1<<10, 1<<10, 1<<10
			o.Log = slog.New(slog.NewTextHandler(log, nil))
		})
		pays := 0
		giver := &brittle{breaks: func(d transport.Delivery) bool {
			if d.Type == zio.PAY {
				pays++
			}
			return d.Type == zio.PAY && pays > 1 // the first comes with the taker's
		}}
		taker := &brittle{}
		p := between(t, b, cids, giver, taker)
		p.pay(4)
		if p.info().Phase != flow.Active {
			t.Fatal("the flow has ended before anything was withheld")
		}
		p.dat(1)
		time.Sleep(time.Second) // the sweeper has come by
		synctest.Wait()
		wantAborted(t, b, cids, p, log)
		if want := "peer_gone: an error in the gateway"; len(taker.told) != 1 || taker.told[0] != want {
			t.Errorf("the taker was told %q, want %s", taker.told, want)
		}
	})
}

// Likewise in a deadline's timer: the peer whose link is sound is told.
func TestPanicAtADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(strings.Builder)
		b, cids := newBroker(t, func(o *broker.Options) {
			o.IdleTimeout, o.Log = time.Second, slog.New(slog.NewTextHandler(log, nil))
		})
		once := true
		client, handler := &brittle{breaks: func(d transport.Delivery) bool {
			breaks := once && d.Type == zio.EOT
			once = once && !breaks
			return breaks
		}}, &brittle{}
		p := between(t, b, cids, client, handler)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantAborted(t, b, cids, p, log)
		if len(handler.told) == 0 || !strings.Contains(handler.told[0], "idle_timeout") {
			t.Errorf("the handler was told %q", handler.told)
		}
	})
}
