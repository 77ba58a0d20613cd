package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// flood is a broker with a log, for peers that want to fill it.
type flood struct {
	*broker.Broker
	log *jsonLog
}

func newFlood(t *testing.T, route routing.Factory) *flood {
	t.Helper()
	log := &jsonLog{}
	options := broker.DefaultOptions()
	options.Log, options.HandlerWait = slog.New(slog.NewJSONHandler(log, nil)), 0
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(flow.Draining, "") })
	if route != nil {
		if _, err := b.AddRoute(routing.Route{Name: "all", Factory: route}); err != nil {
			t.Fatal(err)
		}
	}
	return &flood{b, log}
}

// attach attaches a peer that keeps what it is told last.
func (f *flood) attach(info transport.PeerInfo, grant rights.Grant) (*broker.Peer, *lastTold) {
	link := &lastTold{}
	return f.AttachWith(link, info, grant), link
}

type lastTold struct{ label, detail string }

func (l *lastTold) Deliver(d transport.Delivery) error {
	l.label, l.detail = string(d.Message.Label), d.Detail
	d.Message.Release()
	return nil
}
func (l *lastTold) Queued() (messages, bytes int64) { return 0, 0 }
func (l *lastTold) Flush()                          {}
func (l *lastTold) Ended(flow.Reason, string)       {}

func say(p *broker.Peer, label string) { p.Receive(&zio.Message{Label: []byte(label)}) }

const (
	wrongBot = `{"flow":"BOT","direction":"sideways","credit":1}`
	rightBot = `{"flow":"BOT","direction":"extract","credit":1}`
)

// nobody may do anything.
type nobody struct{}

func (nobody) Rights() rights.Rights { return rights.Rights{} }

// TestLogFloodOfOne: neither refused BOTs, nor flows without number, nor what is
// denied make more lines than a peer may have; others have theirs.
func TestLogFloodOfOne(t *testing.T) {
	for _, c := range []struct {
		name, label, message string
		grant                rights.Grant
	}{
		{"refused", wrongBot, "BOT refused", nil},
		{"flows", rightBot, "flow ended", nil},
		{"denied", rightBot, "BOT refused", nobody{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFlood(t, nil) // no route: every flow ends at once
				loud, _ := f.attach(transport.PeerInfo{Transport: "fake", Address: "192.0.2.1:1"}, c.grant)
				for range 5 {
					for range 2000 {
						say(loud, c.label)
						synctest.Wait() // no route takes it: it ends
					}
					time.Sleep(time.Second)
				}
				other, _ := f.attach(transport.PeerInfo{Transport: "fake", Address: "192.0.2.2"}, c.grant)
				say(other, c.label)
				synctest.Wait()
				known, _ := f.attach(transport.PeerInfo{Transport: "fake", Address: "192.0.2.1", Name: "reader"}, c.grant)
				say(known, c.label)
				synctest.Wait()
				lines := f.log.find(t, c.message)
				if n := len(lines); n < 102 || n > 150 {
					t.Fatalf("10,000 in 5 s make %d lines", n)
				}
				told := 0.0
				who := map[string]int{}
				for _, line := range lines {
					n, _ := line["suppressed"].(float64)
					told += n
					who[fmt.Sprint(line["peer"], line["client"])]++
				}
				if told < 7000 || len(who) != 3 {
					t.Errorf("the log tells of %v lines that are left out, and has %v", told, who)
				}
				loud.Leave("")
				other.Leave("")
				known.Leave("")
			})
		})
	}
}

// TestLogFloodOfMany: of 5,000 peers at as many addresses each has lines, as long
// as there are not too many of all.
func TestLogFloodOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlood(t, nil)
		for round := range 2 {
			for i := range 5000 {
				p, _ := f.attach(transport.PeerInfo{Transport: "fake", Address: fmt.Sprintf("10.0.%d.%d:%d", i/250, i%250, round)}, nil)
				for range 3 {
					say(p, wrongBot)
				}
				p.Leave("")
			}
		}
		if n := strings.Count(f.log.String(), "\n"); n > 6200 || n < 1000 {
			t.Errorf("30,000 refusals make %d lines", n)
		}
		known, _ := f.attach(transport.PeerInfo{Transport: "fake", Address: "10.0.0.1", Name: "reader"}, nil)
		say(known, wrongBot)
		known.Leave("")
		if !strings.Contains(f.log.String(), "fake reader 10.0.0.1") {
			t.Error("the refusal of a known peer is not logged")
		}
	})
}

// refusing is a factory that refuses in its words, as a handler may.
type refusing string

// Find implements routing.Factory.
func (r refusing) Find(context.Context, *routing.Request) error { return errors.New(string(r)) }

// TestTextsAreCut: what peers have written is bounded in what others are told, in
// what is logged and in what is remembered; and it is text.
func TestTextsAreCut(t *testing.T) {
	for name, unit := range map[string]string{"letters": "x", "umlauts": "ä", "backslashes": `\`, "no text": "\xff", "zeros": "\x00"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				long := strings.Repeat(unit, 3<<20)
				f := newFlood(t, refusing(long))
				p, link := f.attach(transport.PeerInfo{Transport: "fake", Address: long, Identity: long}, nil)
				bounded := func(what, detail string, limit int) {
					t.Helper()
					if len(detail) > limit || len(detail) == 0 || !utf8.ValidString(detail) {
						t.Errorf("%s has %d bytes, valid is %t", what, len(detail), utf8.ValidString(detail))
					}
				}
				say(p, rightBot)
				synctest.Wait()
				bounded("the detail of an EOT", link.detail, 1024)
				bounded("the label of an EOT", link.label, 8<<10)
				info := f.Flow(1).Info()
				bounded("the flow's detail", info.Detail, 1024)
				bounded("the identity", info.Client.Identity, 128)
				bounded("the address", info.Client.Address, 128)
				stray, other := f.attach(transport.PeerInfo{Transport: "fake"}, nil)
				stray.Fail(flow.ProtocolError, long)
				bounded("what a peer without a flow is told", other.detail, 1024)
				if n := len(f.log.String()); n > 16<<10 {
					t.Errorf("the log has %d bytes", n)
				}
				stray.Leave(long)
				p.Leave(long)
			})
		})
	}
}
