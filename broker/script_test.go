package broker_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/script"
	"github.com/zioflow/gateway/internal/script/scripttest"
)

// TestScripts plays the exchanges in testdata, in the language of docs/scripts.md, against
// a broker whose peers are fakes. After every act stands all that comes of it. Rewrite
// that with -rewrite.
//
//	PEER> LABEL PAYLOAD…       · PEER< LABEL PAYLOAD… seqno N [reason REASON]
//	PEER< ended REASON ["DETAIL"]
//	LISTENER< offer LABEL PAYLOAD… from PEER direction D credit N, whose cid is $cid1, $cid2…
//	LISTENER< withdrawn $cidN REASON
//	l> decline $cidN "DETAIL" [as NAME]
//	broker< …                  what else the broker says, and what a command returns
//	flow< …                    a line of what `flows` lists
//
// play, event and playRoutes have the other lines. The head's options are limits.
func TestScripts(t *testing.T) {
	scripttest.Run(t, "testdata", []string{"options"}, func(t *testing.T, s *script.Scenario, do func(scripttest.Recorded)) {
		synctest.Test(t, func(t *testing.T) { playOn(t, s, do) })
	})
}

// playOn has a scenario played on a broker of its own, with the limits of its head.
func playOn(t *testing.T, s *script.Scenario, do func(scripttest.Recorded)) {
	options := broker.DefaultOptions()
	options.IdleTimeout = time.Hour
	for _, option := range s.Head["options"] {
		name, value, _ := strings.Cut(option, "=")
		setLimit(t, &options, name, value)
	}
	var p *play
	options.Denied = func(by transport.PeerInfo, what flow.Denial) {
		p.printf("broker< denied %s", strings.TrimSpace(fmt.Sprintf("%v: %s", by, what)))
	}
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	p = newPlay(t, b)
	do(p)
	b.Close(flow.Draining, "")
	for name, peer := range p.peers {
		if peer.held != 0 {
			t.Errorf("%d messages of %s were not released", peer.held, name)
		}
	}
}

// setLimit sets one of a broker's limits by its option's name.
func setLimit(t *testing.T, o *broker.Options, name, value string) {
	if to := map[string]*time.Duration{"handler-wait": &o.HandlerWait, "pending-timeout": &o.PendingTimeout}[name]; to != nil {
		var err error
		if *to, err = time.ParseDuration(value); err != nil {
			t.Fatal(err)
		}
		return
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatal(err)
	}
	switch name {
	case "max-credit":
		o.MaxCredit = int64(n)
	case "max-flows":
		o.MaxFlows = n
	case "max-pending":
		o.MaxPending = n
	case "max-message":
		o.MaxMessage = n
	case "max-bytes":
		o.MaxBytes, o.MaxFlowBytes = int64(n), int64(n)
	case "max-flow-bytes":
		o.MaxFlowBytes = int64(n)
	default:
		t.Fatalf("%s is no limit", name)
	}
}

// limits plays `limits NAME=N…`.
func (s *play) limits(words []string) {
	options := s.broker.Options()
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		setLimit(s.t, &options, name, value)
	}
	if err := s.broker.SetLimits(options); err != nil {
		s.answer(err)
	}
}

// play is a scenario being played.
type play struct {
	script.Record
	t         *testing.T
	broker    *broker.Broker
	peers     map[string]*fakePeer
	listeners map[string]*listeners.Listener
	grants    map[string]*fakeGrant

	mu   sync.Mutex
	out  []string          // guarded by mu; what came in this step
	told []string          // guarded by mu; what listeners were told in this step
	cids map[string]uint64 // guarded by mu
}

func newPlay(t *testing.T, b *broker.Broker) *play {
	return &play{
		t: t, broker: b, peers: map[string]*fakePeer{}, cids: map[string]uint64{},
		listeners: map[string]*listeners.Listener{}, grants: map[string]*fakeGrant{},
	}
}

// acts does what the lines say, and looks at nothing that comes of it.
func (s *play) acts(lines string) {
	s.t.Helper()
	all, err := script.Parse(s.t.Name(), "scenario: acts\n"+lines)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range all[0].Lines {
		if err := s.Act(l); err != nil {
			s.t.Fatalf("%s: %v", l.Text, err)
		}
	}
}

func (s *play) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, fmt.Sprintf(format, args...))
}

// answer tells what a command returns.
func (s *play) answer(what any) {
	s.printf("broker< %s", strings.Join(strings.Fields(fmt.Sprint(what)), " "))
}

// tell records what a listener is told. That is done by goroutines of the
// broker's, in no order with what peers are sent.
func (s *play) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

// flush hands over what came in a step, with the random cids replaced by their names.
func (s *play) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.told)
	for _, line := range append(s.out, s.told...) {
		for name, cid := range s.cids {
			line = strings.ReplaceAll(line, strconv.FormatUint(cid, 10), "$"+name)
		}
		s.Came(line)
	}
	s.out, s.told = nil, nil
}

var variable = regexp.MustCompile(`\$\w+`)

func (s *play) expand(line string) string {
	return variable.ReplaceAllStringFunc(line, func(name string) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return strconv.FormatUint(s.cids[name[1:]], 10)
	})
}

// Act implements script.Player.
func (s *play) Act(l script.Line) error {
	l.Rest = s.expand(l.Rest)
	err := s.act(l)
	synctest.Wait()
	s.flush()
	return err
}

func (s *play) act(l script.Line) error {
	words := l.Words()
	switch {
	case l.Kind == script.Send && words[0] == "decline":
		return s.decline(words[1:])
	case l.Kind == script.Send:
		return s.peer(l.Who).send(l.Rest)
	}
	switch words[0] {
	case "wait":
		d, err := time.ParseDuration(words[1])
		time.Sleep(d)
		return err
	case "route", "default", "named", "configure", "unroute", "routes", "explain":
		s.playRoutes(words[0], words[1:])
	case "grant":
		s.grant(words[1:])
	case "limits":
		s.limits(words[1:])
	case "end":
		n, err := strconv.ParseUint(words[1], 10, 64)
		_, unknown := s.broker.EndFlow(transport.FlowID(n), words[2])
		return errors.Join(err, unknown)
	case "drain":
		s.broker.Drain()
	case "close":
		s.broker.Close(flow.Draining, "the gateway is shutting down")
	case "flows":
		infos := s.broker.Flows()
		slices.SortFunc(infos, func(a, b relay.Info) int { return int(a.ID) - int(b.ID) })
		for _, f := range infos {
			s.printf("flow< %d %v %v client=%s handler=%s %v credit=%d paid=%d data=%d/%d", f.ID, f.Phase, f.Reason,
				f.Client.Identity, f.Handler.Identity, f.Direction, f.Credit, f.Paid, f.Data.Messages, f.Data.Bytes)
		}
	default:
		return s.event(words[0], words[1], words[2:])
	}
	return nil
}

// event plays `NAME attaches IDENTITY`, `NAME leaves`, `NAME shuts`, `NAME breaks ERROR`
// (its outbox, from now on), `NAME holds N SIZE` (so many messages of that size have not
// left for it) or `NAME charges N` (so many bytes are held for it), `NAME stays` (its
// connection goes on after a flow), `NAME moves` (bytes of a large message have crossed);
// and of a listener `NAME listens …`, `NAME unlistens`.
func (s *play) event(name, verb string, words []string) error {
	switch verb {
	case "listens":
		return s.listen(name, words)
	case "unlistens":
		s.listeners[name].Close()
		return nil
	case "attaches":
		s.attach(name, words[0])
		return nil
	}
	p := s.peer(name)
	switch verb {
	case "leaves":
		p.Leave("connection closed")
	case "shuts":
		p.CloseSend()
	case "stays":
		p.Stays()
	case "moves":
		p.moved.Add(1)
	case "charges":
		n, err := strconv.ParseInt(words[0], 10, 64)
		p.Bytes().Add(n)
		return err
	case "holds":
		queued, err := strconv.ParseInt(words[0], 10, 64)
		size, bad := strconv.ParseInt(words[1], 10, 64)
		p.queued.Store(queued)
		p.size.Store(size)
		return errors.Join(err, bad)
	case "breaks":
		p.broken = map[string]error{"gone": transport.ErrGone, "overrun": transport.ErrOverrun}[words[0]]
	default:
		return fmt.Errorf("%s is nothing that a peer does", verb)
	}
	return nil
}

// peer attaches a peer when it is first named.
func (s *play) peer(name string) *fakePeer {
	if p := s.peers[name]; p != nil {
		return p
	}
	return s.attach(name, "")
}

// send has the peer send a message.
func (p *fakePeer) send(text string) error {
	in, err := script.ParseMessage(text)
	if err == nil {
		err = in.Only()
	}
	if err != nil {
		return err
	}
	m := &zio.Message{Form: zio.FormFlow, Label: in.Label, Payload: in.Payload, Coord: zio.Coord{Origin: sent, Granule: 1, Seqno: p.seqno}}
	p.seqno++
	p.held++
	m.Carry(p)
	p.Receive(m)
	return nil
}

// sent is the origin of what peers send, by which it can be told from what the broker makes.
const sent = 7

// fakeGrant is what peers of one name may do.
type fakeGrant struct{ rights rights.Rights }

func (g *fakeGrant) Rights() rights.Rights { return g.rights }

// fakeNames are those under which a listener may be registered, with commas.
type fakeNames string

func (n fakeNames) Right(name string) rights.NameRight {
	if slices.Contains(strings.Split(string(n), ","), name) {
		return rights.NameAllowed
	}
	return rights.NameRefused
}

// grant plays `grant NAME [client] [handler] [extract] [inject] [flows=N]
// [match=EXPRESSION] [names=NAME,…]`: what peers of that name may do from now on;
// with names, these are the only ones under which they may listen.
func (s *play) grant(words []string) {
	var r rights.Rights
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "client":
			r.Client = true
		case "handler":
			r.Handler = true
		case "extract":
			r.Extract = true
		case "inject":
			r.Inject = true
		case "flows":
			r.MaxFlows, _ = strconv.Atoi(value)
		case "match":
			m, err := match.Compile(value)
			if err != nil {
				s.t.Fatal(err)
			}
			r.Match = m
		case "names":
			r.Names = fakeNames(value)
		}
	}
	if g := s.grants[words[0]]; g != nil {
		g.rights = r
	} else {
		s.grants[words[0]] = &fakeGrant{r}
	}
}

// attach plays `PEER attaches NAME`: the peer has proved to be of that name.
func (s *play) attach(peer, name string) *fakePeer {
	p := &fakePeer{play: s, name: peer}
	info := transport.PeerInfo{Transport: "fake", Identity: peer, Name: name}
	if g := s.grants[name]; g != nil {
		p.Peer = s.broker.AttachWith(p, info, g)
	} else {
		p.Peer = s.broker.Attach(p, info)
	}
	s.peers[peer] = p
	return p
}

// decline plays `l> decline CID "DETAIL" [as NAME]`.
func (s *play) decline(words []string) error {
	cid, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		return err
	}
	detail, err := strconv.Unquote(words[1])
	by := transport.PeerInfo{Transport: "fake"}
	if len(words) > 2 {
		by.Name = words[3]
	}
	s.answer(s.broker.Decline(by, cid, detail) == nil)
	return err
}

// listen plays `LISTENER listens NAME [as=IDENTITY] [max=N] [match=EXPRESSION]`.
func (s *play) listen(listener string, words []string) error {
	spec := listeners.Spec{Name: words[0], Sink: &fakeSink{s, listener}}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "as":
			spec.Peer.Name, spec.Grant = value, s.grants[value]
		case "max":
			spec.MaxFlows, err = strconv.Atoi(value)
		case "match":
			spec.Match, err = match.Compile(value)
		default:
			err = fmt.Errorf("%s is nothing that a listener has", key)
		}
		if err != nil {
			return err
		}
	}
	l, err := s.broker.Listen(spec)
	if err != nil {
		s.answer(err)
		return nil
	}
	s.listeners[listener] = l
	return nil
}

// fakePeer prints what its link is given.
type fakePeer struct {
	*broker.Peer
	play   *play
	name   string
	seqno  uint64
	broken error
	queued atomic.Int64
	size   atomic.Int64
	moved  atomic.Uint64
	held   int // messages that it sent and that were not released
}

// Release implements zio.Carrier: it is called once for each message sent.
func (p *fakePeer) Release() { p.held-- }

// Hold implements zio.Carrier.
func (p *fakePeer) Hold() { p.held++ }

func (p *fakePeer) Deliver(d transport.Delivery) error {
	defer d.Message.Release()
	if p.broken != nil {
		return p.broken
	}
	got := script.Message{Label: d.Message.Label, Payload: d.Message.Payload}
	got.Words = append(got.Words, script.Pair{Word: "seqno", Value: strconv.FormatUint(d.Message.Seqno, 10)})
	if d.Type == zio.EOT && d.Reason != flow.NotEnded {
		got.Words = append(got.Words, script.Pair{Word: "reason", Value: d.Reason.String()})
	}
	sign := "<*"
	if d.Message.Origin == sent {
		sign = "<"
	}
	p.play.printf("%s%s %v", p.name, sign, got)
	return nil
}

// Queued returns what a line of the script has set.
func (p *fakePeer) Queued() (messages, bytes int64) {
	return p.queued.Load(), p.queued.Load() * p.size.Load()
}

func (p *fakePeer) Flush() {}

// Moved implements transport.Mover.
func (p *fakePeer) Moved() uint64 { return p.moved.Load() }

func (p *fakePeer) Ended(reason flow.Reason, detail string) {
	if detail != "" {
		detail = " " + strconv.Quote(detail)
	}
	p.play.printf("%s< ended %v%s", p.name, reason, detail)
}

// fakeSink prints what a listener is told, and names each cid after it.
type fakeSink struct {
	play *play
	name string
}

func (k *fakeSink) Offer(o routing.Offer) error {
	k.play.mu.Lock()
	name := fmt.Sprintf("cid%d", len(k.play.cids)+1)
	k.play.cids[name] = o.CID
	k.play.mu.Unlock()
	k.play.tell("%s< offer %v from %s direction %v credit %d",
		k.name, script.Message{Label: o.Bot.Label, Payload: o.Bot.Payload}, o.Client.Identity, o.Direction, o.Credit)
	return nil
}

func (k *fakeSink) Withdraw(cid uint64, reason flow.Reason) {
	k.play.tell("%s< withdrawn %d %v", k.name, cid, reason)
}
