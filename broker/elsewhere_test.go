package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// another is another node, which is asked for all cids.
type another struct{ asked []*broker.Acceptance }

func (e *another) Knows(uint64) bool          { return true }
func (e *another) Reach(a *broker.Acceptance) { e.asked = append(e.asked, a) }
func (e *another) Decline(context.Context, transport.PeerInfo, uint64, string) error {
	return errors.New("asked elsewhere")
}

// told is a link that keeps what it is told, in words.
type told struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (l *told) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *told) Deliver(d transport.Delivery) error {
	l.say("%v %s", d.Type, d.Message.Label)
	d.Message.Release()
	return nil
}
func (l *told) Flush()                                  {}
func (l *told) Queued() (messages, bytes int64)         { return 0, 0 }
func (l *told) Ended(reason flow.Reason, detail string) { l.say("ended %v %s", reason, detail) }

// want checks what it was told since the last time.
func (l *told) want(t *testing.T, who string, lines ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got, want := strings.Join(l.lines, "\n"), strings.Join(lines, "\n"); got != want {
		t.Errorf("the %s was told\n%s\nwant\n%s", who, got, want)
	}
	l.lines = nil
}

// TestElsewhere: while the offer of a handler's BOT is looked for at another node, whatever
// the handler does is as with an offer that is here.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	const cid = 99
	const bot = `{"flow":"BOT","direction":"inject","credit":2,"cid":99}`
	begin := func(t *testing.T, change func(*broker.Options)) (*broker.Broker, *another, *broker.Peer, *told) {
		o := broker.DefaultOptions()
		if change != nil {
			change(&o)
		}
		b, err := broker.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close(flow.Draining, "") })
		e := &another{}
		b.SetElsewhere(5, e)
		l := &told{}
		p := b.Attach(l, transport.PeerInfo{Transport: "test", Name: "hand"})
		send(p, bot)
		if len(e.asked) != 1 || e.asked[0].CID != cid || e.asked[0].Credit != 2 {
			t.Fatalf("asked for was %+v", e.asked)
		}
		return b, e, p, l
	}
	take := func(a *broker.Acceptance) (*broker.Peer, *told, *flow.Error) {
		l := &told{}
		c, no := a.Taken(l, transport.PeerInfo{Transport: "test", Name: "cli", Node: "a"}, plain(`{"flow":"BOT","direction":"extract","credit":2}`))
		return c, l, no
	}

	t.Run("what came ahead follows", func(t *testing.T) {
		_, e, p, handler := begin(t, nil)
		if p.Idle() || p.Flow() != nil {
			t.Error("who waits has no flow, and is not idle")
		}
		send(p, `{"flow":"PAY","credit":1}`)
		send(p, bot) // a duplicate
		c, client, no := take(e.asked[0])
		if no != nil {
			t.Fatal(no)
		}
		handler.want(t, "handler", `BOT {"flow":"BOT","direction":"extract","credit":2}`)
		client.want(t, "client", `BOT {"flow":"BOT","direction":"inject","credit":2}`, `PAY {"flow":"PAY","credit":1}`)
		send(p, `{"flow":"EOT"}`)
		send(c, `{"flow":"EOT"}`)
		handler.want(t, "handler", `EOT {"flow":"EOT"}`, "ended completed ")
		client.want(t, "client", `EOT {"flow":"EOT"}`, "ended completed ")
		if f := p.Flow(); f == nil || !f.Over() || len(e.asked) != 1 {
			t.Error("the handler has no flow")
		}
	})
	t.Run("refused", func(t *testing.T) {
		_, e, p, handler := begin(t, nil)
		e.asked[0].NoOffer()
		const no = "no offer has this cid: it was accepted, withdrawn or never made"
		handler.want(t, "handler", `EOT {"flow":"EOT","error":"rejected","detail":"`+no+`"}`, "ended rejected "+no)
		if !p.Idle() {
			t.Error("who was refused is not idle")
		}
		send(p, `{"flow":"EOT"}`) // its answer
		handler.want(t, "handler")
		send(p, bot)
		if len(e.asked) != 2 {
			t.Error("another BOT is not asked for")
		}
	})
	for what, leaves := range map[string]func(p *broker.Peer){
		"left":         func(p *broker.Peer) { p.Leave("it is gone") },
		"begins anew":  func(p *broker.Peer) { send(p, `{"flow":"BOT","direction":"inject","credit":2,"cid":98}`) },
		"is malformed": func(p *broker.Peer) { p.Malformed(errors.New("nonsense")) },
	} {
		t.Run("the handler "+what, func(t *testing.T) {
			b, e, p, _ := begin(t, nil)
			send(p, `{"flow":"PAY","credit":1}`)
			leaves(p)
			if e.asked[0].Context().Err() == nil {
				t.Error("the search goes on")
			}
			if _, _, no := take(e.asked[0]); no == nil || no.Reason != flow.PeerGone || b.Live() != 0 {
				t.Errorf("who has gone was given the flow: %v", no)
			}
		})
	}
	t.Run("too much comes ahead", func(t *testing.T) {
		_, e, p, handler := begin(t, nil)
		for range 65 {
			send(p, `{"flow":"PAY","credit":1}`)
		}
		handler.want(t, "handler", `EOT {"flow":"EOT","error":"overrun","detail":"the handler sends on before its BOT is answered"}`,
			"ended overrun the handler sends on before its BOT is answered")
		if e.asked[0].Context().Err() == nil {
			t.Error("the search goes on")
		}
	})
	t.Run("it is full here meanwhile", func(t *testing.T) {
		b, e, _, handler := begin(t, func(o *broker.Options) { o.MaxFlows, o.HandlerWait = 1, o.PendingTimeout })
		other := b.Attach(&told{}, transport.PeerInfo{Transport: "test"})
		send(other, `{"flow":"BOT","direction":"inject","credit":2}`)
		if _, _, no := take(e.asked[0]); no == nil || no.Reason != flow.Overloaded {
			t.Errorf("the flow was taken: %v", no)
		}
		handler.want(t, "handler", `EOT {"flow":"EOT","error":"overloaded","detail":"the gateway has reached its number of flows"}`,
			"ended overloaded the gateway has reached its number of flows")
	})
}

func send(p *broker.Peer, label string) { p.Receive(plain(label)) }

func plain(label string) *zio.Message { return &zio.Message{Form: zio.FormFlow, Label: []byte(label)} }
