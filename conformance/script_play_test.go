package conformance_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// performance is a scenario being played: one goroutine, step by step. What
// must not come is shown by what comes next, or by quiet.
type performance struct {
	gateway          *inProcess
	clients, handler transport
	peers            map[string]scriptPeer
	seqno            map[string]uint64 // of the peer's next message
	sent             map[uint64]sentMessage
	cids             map[string]uint64
	listener         *broker.Listener
	offers           chan broker.Offer
	withdrawals      chan string
	watcher          *broker.Watcher
	live             map[broker.FlowID]bool
	reasons          []string // of the flows that have ended
	transcript       strings.Builder
}

// sentMessage is what a peer has sent. Its granule tells it from all others.
type sentMessage struct {
	*zio.Message
	by string
}

// Offer implements broker.ListenerSink.
func (p *performance) Offer(o broker.Offer) error { p.offers <- o; return nil }

// Withdraw implements broker.ListenerSink.
func (p *performance) Withdraw(cid uint64, reason flow.Reason) {
	p.withdrawals <- fmt.Sprintf("%d %v", cid, reason)
}

// play plays a scenario with peers of these transports. An error shows how far
// the exchange came.
func (s *scenario) play(g *inProcess, client, handler transport) error {
	p := &performance{
		gateway: g, clients: client, handler: handler,
		peers: map[string]scriptPeer{}, seqno: map[string]uint64{}, sent: map[uint64]sentMessage{},
		cids: map[string]uint64{}, live: map[broker.FlowID]bool{},
		offers: make(chan broker.Offer, 100), withdrawals: make(chan string, 100),
		watcher: g.broker.Watch(1000),
	}
	defer p.leave()
	var err error
	if !slices.Contains(s.options, "builtin") && !slices.Contains(s.options, "nobody") {
		if p.listener, err = g.broker.Listen(broker.ListenerSpec{Name: "script", Sink: p}); err != nil {
			return err
		}
	}
	for _, step := range s.steps {
		fmt.Fprintf(&p.transcript, "  %4d  %s\n", step.number, step.text)
		if err := p.step(p.expand(step.text)); err != nil {
			return fmt.Errorf("line %d:\n%s        %w", step.number, &p.transcript, err)
		}
	}
	if err := p.finish(); err != nil {
		return fmt.Errorf("at the end:\n%s        %w", &p.transcript, err)
	}
	return nil
}

func (p *performance) leave() {
	for _, peer := range p.peers {
		peer.leave()
	}
	if p.listener != nil {
		p.listener.Close()
	}
	p.watcher.Close()
}

// cidName is a cid's name, or its successor's.
var cidName = regexp.MustCompile(`\$(\w+)(\+1)?`)

// expand puts the cids in the place of their names, as far as they are known.
func (p *performance) expand(text string) string {
	return cidName.ReplaceAllStringFunc(text, func(name string) string {
		base, plus := strings.CutSuffix(name[1:], "+1")
		cid, known := p.cids[base]
		switch {
		case !known:
			return name
		case plus:
			cid++
		}
		return strconv.FormatUint(cid, 10)
	})
}

// step plays one line.
func (p *performance) step(text string) error {
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "offer":
		return p.expectOffer(rest)
	case "withdrawn":
		return p.expectWithdrawal(rest)
	case "decline":
		return p.decline(rest)
	case "ends":
		return p.expectEnd(rest)
	}
	name, isSend := strings.CutSuffix(verb, ">")
	name, isOwn := strings.CutSuffix(name, "<*")
	name, isRelayed := strings.CutSuffix(name, "<")
	peer, err := p.peer(name)
	switch {
	case err != nil:
		return err
	case isSend:
		return p.send(name, peer, rest)
	case isRelayed && rest == "nothing":
		return p.quiet(name)
	case isOwn || isRelayed:
		return p.expect(name, peer, rest, isOwn)
	case rest == "leaves":
		delete(p.peers, name)
		peer.leave()
		return nil
	case rest == "shuts":
		return peer.shut()
	default:
		return fmt.Errorf("is no step that this player knows")
	}
}

// peer attaches a peer when it is first named.
func (p *performance) peer(name string) (scriptPeer, error) {
	if peer := p.peers[name]; peer != nil {
		return peer, nil
	}
	via := p.clients
	if isHandler(name) {
		via = p.handler
	}
	peer, err := dialScript(via, p.gateway.addresses[via])
	if err == nil {
		p.peers[name] = peer
	}
	return peer, err
}

// send sends raw bytes or a message, which is numbered unless the step does.
func (p *performance) send(name string, to scriptPeer, text string) error {
	if raw, ok := strings.CutPrefix(text, "raw "); ok {
		parts, err := parseRaw(raw)
		if err != nil {
			return err
		}
		return to.raw(parts)
	}
	in, err := parseMessage(text)
	if err != nil {
		return err
	}
	m := &zio.Message{Form: zio.FormFlow, Label: in.label, Payload: in.payload, Level: byte(in.numbers["level"])}
	m.Granule = uint64(len(p.sent) + 1)
	m.Origin = in.numbers["origin"]
	if head, err := zio.Peek(m.Label); err == nil && head.Type == zio.BOT {
		p.seqno[name] = 0
	}
	m.Seqno = p.seqno[name]
	if n, given := in.numbers["seqno"]; given {
		m.Seqno = n
	}
	p.seqno[name] = m.Seqno + 1
	p.sent[m.Granule] = sentMessage{m, name}
	return to.send(m)
}

// await waits for the next of what comes through a channel.
func await[T any](from <-chan T) (next T, err error) {
	select {
	case next = <-from:
	case <-time.After(scriptPatience):
		err = fmt.Errorf("nothing came within %v", scriptPatience)
	}
	return next, err
}

func (p *performance) decline(text string) error {
	words, err := cutWords(text)
	if err != nil || len(words) != 2 {
		return fmt.Errorf("want a cid and a detail (%w)", err)
	}
	cid, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		return err
	}
	detail, err := strconv.Unquote(words[1])
	if err == nil && p.gateway.broker.Decline(broker.PeerInfo{}, cid, detail) != nil {
		err = fmt.Errorf("the gateway knows no such offer")
	}
	return err
}

// quiet checks that a peer was sent nothing more.
func (p *performance) quiet(name string) error {
	if err := p.peers[name].quiet(p.reasons); err != nil {
		return fmt.Errorf("want nothing more for %s: %w", name, err)
	}
	return nil
}

// finish checks that the scenario has told everything: no peer was sent
// anything else, nothing else was offered, no other flow has ended and none is
// left. The first round sees to it that all was processed that anybody sent.
func (p *performance) finish() error {
	for range 2 {
		for _, name := range slices.Sorted(maps.Keys(p.peers)) {
			if err := p.quiet(name); err != nil {
				return err
			}
		}
	}
	for len(p.watcher.Events()) > 0 {
		if f := p.see(<-p.watcher.Events()); f.Phase == flow.Ended {
			return fmt.Errorf("flow %d ended %v (%s), which no step says", f.ID, f.Reason, f.Detail)
		}
	}
	for id := range p.live {
		return fmt.Errorf("flow %d has not ended", id)
	}
	if len(p.offers) > 0 {
		return fmt.Errorf("there was another offer: %s", (<-p.offers).Bot.Label)
	}
	return nil
}
