package broker_test

import (
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

	"github.com/cockroachdb/datadriven"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/zio"
)

// TestScripts plays the exchanges in testdata against a broker whose peers are
// fakes. Each script's title names the rules that it shows; what every peer
// received is recorded below the lines. Rewrite the records with -rewrite.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out string
			synctest.Test(t, func(t *testing.T) { out = playAll(t, d) })
			return out
		})
	})
}

// playAll plays one script against a broker of its own, with the limits that
// the script's arguments set.
func playAll(t *testing.T, d *datadriven.TestData) string {
	options := broker.DefaultOptions()
	options.IdleTimeout = time.Hour
	for _, arg := range d.CmdArgs {
		setLimit(t, &options, arg.Key, arg.Vals[0])
	}
	var s *script
	options.Denied = func(p broker.PeerInfo, what broker.Denial) { s.printf("  denied %v: %s\n", p, what) }
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	s = &script{
		t: t, broker: b, peers: map[string]*fakePeer{}, cids: map[string]uint64{},
		listeners: map[string]*broker.Listener{}, grants: map[string]*fakeGrant{},
	}
	for line := range strings.SplitSeq(d.Input, "\n") {
		s.printf("%s\n", line)
		s.play(line)
		synctest.Wait()
		s.flushListeners()
	}
	out := s.text()
	b.Close(flow.Draining, "")
	for name, p := range s.peers {
		if p.held != 0 {
			t.Errorf("%d messages of %s were not released", p.held, name)
		}
	}
	return out
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
func (s *script) limits(words []string) {
	options := s.broker.Options()
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		setLimit(s.t, &options, name, value)
	}
	if err := s.broker.SetLimits(options); err != nil {
		s.printf("  %v\n", err)
	}
}

// script is a play under way.
type script struct {
	t         *testing.T
	broker    *broker.Broker
	peers     map[string]*fakePeer
	listeners map[string]*broker.Listener
	grants    map[string]*fakeGrant

	mu   sync.Mutex
	out  strings.Builder   // guarded by mu
	told []string          // guarded by mu; what listeners were told in this step
	cids map[string]uint64 // guarded by mu
}

func (s *script) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.out, format, args...)
}

// tell records what a listener is told. That is done by goroutines of the
// broker's, in no order with what peers are sent.
func (s *script) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

func (s *script) flushListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.told)
	s.out.WriteString(strings.Join(s.told, ""))
	s.told = nil
}

// text is the record, with the random cids replaced by their names.
func (s *script) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.out.String()
	for name, cid := range s.cids {
		text = strings.ReplaceAll(text, strconv.FormatUint(cid, 10), "$"+name)
	}
	return text
}

var variable = regexp.MustCompile(`\$\w+`)

func (s *script) expand(line string) string {
	return variable.ReplaceAllStringFunc(line, func(name string) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return strconv.FormatUint(s.cids[name[1:]], 10)
	})
}

func (s *script) play(line string) {
	line, _, _ = strings.Cut(line, "  # ")
	words := strings.Fields(s.expand(line))
	switch words[0] {
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(d)
	case "route", "default", "named", "configure", "unroute", "routes", "explain":
		s.playRoutes(words[0], words[1:])
	case "listen":
		s.listen(words[1:])
	case "unlisten":
		s.listeners[words[1]].Close()
	case "decline":
		s.decline(words[1:])
	case "grant":
		s.grant(words[1:])
	case "attach":
		s.attach(words[1], words[2])
	case "limits":
		s.limits(words[1:])
	case "drain":
		s.broker.Drain()
	case "close":
		s.broker.Close(flow.Draining, "the gateway is shutting down")
	case "flows":
		infos := s.broker.Flows()
		slices.SortFunc(infos, func(a, b broker.FlowInfo) int { return int(a.ID) - int(b.ID) })
		for _, f := range infos {
			s.printf("  %d %v %v client=%s handler=%s %v credit=%d paid=%d data=%d/%d\n", f.ID, f.Phase, f.Reason,
				f.Client.Identity, f.Handler.Identity, f.Direction, f.Credit, f.Paid, f.Data.Messages, f.Data.Bytes)
		}
	default:
		s.peer(words)
	}
}

// peer plays `NAME LABEL [PAYLOAD…]`, `NAME leaves`, `NAME shuts`, `NAME breaks
// ERROR` (its outbox, from now on), `NAME holds N SIZE` (so many messages of
// that size have not left for it) or `NAME charges N` (so many bytes are held for it), `NAME stays` (its connection goes
// on after a flow), `NAME moves` (bytes of a large message have crossed). A payload `*N` is N bytes, `*NxM` is M such
// parts; `"*N"` in a label is a string of N bytes.
func (s *script) peer(words []string) {
	p := s.peers[words[0]]
	if p == nil {
		p = s.attach(words[0], "")
	}
	switch words[1] {
	case "leaves":
		p.Leave("connection closed")
	case "shuts":
		p.Shut()
	case "stays":
		p.Stays()
	case "moves":
		p.moved.Add(1)
	case "charges":
		n, _ := strconv.ParseInt(words[2], 10, 64)
		p.Bytes().Add(n)
	case "holds":
		queued, _ := strconv.ParseInt(words[2], 10, 64)
		size, _ := strconv.ParseInt(words[3], 10, 64)
		p.queued.Store(queued)
		p.size.Store(size)
	case "breaks":
		p.broken = map[string]error{"gone": broker.ErrGone, "overrun": broker.ErrOverrun}[words[2]]
	default:
		m := &zio.Message{Form: zio.FormFlow, Label: longLabel(words[1]), Coord: zio.Coord{Origin: 7, Granule: 1, Seqno: p.seqno}}
		for _, part := range words[2:] {
			times := 1
			if n, err := fmt.Sscanf(part, "*%dx%d", new(int), &times); n > 0 || err == nil {
				size, _ := strconv.Atoi(strings.TrimSuffix(part[1:], fmt.Sprintf("x%d", times)))
				part = strings.Repeat("x", size)
			}
			for range times {
				m.Payload = append(m.Payload, []byte(part))
			}
		}
		p.seqno++
		p.held++
		m.Carry(p)
		p.Receive(m)
	}
}

var longString = regexp.MustCompile(`"\*\d+"`)

func longLabel(label string) []byte {
	return longString.ReplaceAllFunc([]byte(label), func(word []byte) []byte {
		n, _ := strconv.Atoi(string(word[2 : len(word)-1]))
		return fmt.Appendf(nil, `"%s"`, strings.Repeat("x", n))
	})
}

// fakeGrant is what peers of one name may do.
type fakeGrant struct{ rights broker.Rights }

func (g *fakeGrant) Rights() broker.Rights { return g.rights }

// fakeNames are those under which a listener may be registered, with commas.
type fakeNames string

func (n fakeNames) Right(name string) broker.NameRight {
	if slices.Contains(strings.Split(string(n), ","), name) {
		return broker.NameAllowed
	}
	return broker.NameRefused
}

// grant plays `grant NAME [client] [handler] [extract] [inject] [flows=N]
// [match=EXPRESSION] [names=NAME,…]`: what peers of that name may do from now on;
// with names, these are the only ones under which they may listen.
func (s *script) grant(words []string) {
	var r broker.Rights
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

// attach plays `attach PEER NAME`: the peer has proved to be of that name.
func (s *script) attach(peer, name string) *fakePeer {
	p := &fakePeer{script: s, name: peer}
	info := broker.PeerInfo{Transport: "fake", Identity: peer, Name: name}
	if g := s.grants[name]; g != nil {
		p.Peer = s.broker.AttachWith(p, info, g)
	} else {
		p.Peer = s.broker.Attach(p, info)
	}
	s.peers[peer] = p
	return p
}

// decline plays `decline CID [as=NAME] DETAIL…`.
func (s *script) decline(words []string) {
	cid, _ := strconv.ParseUint(words[0], 10, 64)
	by := broker.PeerInfo{Transport: "fake"}
	detail := words[1:]
	if name, named := strings.CutPrefix(strings.Join(detail[:min(1, len(detail))], ""), "as="); named {
		by.Name, detail = name, detail[1:]
	}
	s.printf("  %v\n", s.broker.Decline(by, cid, strings.Join(detail, " ")) == nil)
}

// listen plays `listen ID NAME [max=N] [match=EXPRESSION]`.
func (s *script) listen(words []string) {
	spec := broker.ListenerSpec{Name: words[1], Sink: &fakeSink{s, words[0]}}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "as":
			spec.Peer.Name, spec.Grant = value, s.grants[value]
		case "max":
			spec.MaxFlows, _ = strconv.Atoi(value)
		case "match":
			m, err := match.Compile(value)
			if err != nil {
				s.t.Fatal(err)
			}
			spec.Match = m
		}
	}
	l, err := s.broker.Listen(spec)
	if err != nil {
		s.printf("  %v\n", err)
		return
	}
	s.listeners[words[0]] = l
}

// fakePeer prints what its link is given.
type fakePeer struct {
	*broker.Peer
	script *script
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

func (p *fakePeer) Deliver(d broker.Delivery) error {
	defer d.Message.Release()
	if p.broken != nil {
		return p.broken
	}
	label := string(d.Message.Label)
	if n := len(label); n > 1000 {
		label = fmt.Sprintf("a label of %d bytes", n)
	}
	line := fmt.Sprintf("  %s <- %s #%d", p.name, label, d.Message.Seqno)
	if n := d.Message.Parts(); n > 10 {
		line += fmt.Sprintf(" %d parts", n)
	} else if n := d.Message.Size(); n > 100 {
		line += fmt.Sprintf(" %d bytes", n)
	} else if len(d.Message.Payload) > 0 {
		line += fmt.Sprintf(" %q", d.Message.Payload)
	}
	if d.Type == zio.EOT && d.Reason != flow.NotEnded {
		line += " " + d.Reason.String()
	}
	p.script.printf("%s\n", line)
	return nil
}

// Queued answers what a line of the script has set.
func (p *fakePeer) Queued() (messages, bytes int64) {
	return p.queued.Load(), p.queued.Load() * p.size.Load()
}

func (p *fakePeer) Flush() {}

// Moved implements broker.Mover.
func (p *fakePeer) Moved() uint64 { return p.moved.Load() }

func (p *fakePeer) Ended(reason flow.Reason, detail string) {
	if detail != "" {
		detail = " (" + detail + ")"
	}
	p.script.printf("  %s ended: %v%s\n", p.name, reason, detail)
}

// fakeSink prints what a listener is told, and names each cid after it.
type fakeSink struct {
	script *script
	name   string
}

func (k *fakeSink) Offer(o broker.Offer) error {
	k.script.mu.Lock()
	name := fmt.Sprintf("cid%d", len(k.script.cids)+1)
	k.script.cids[name] = o.CID
	k.script.mu.Unlock()
	k.script.tell("  %s <- offer $%s %s from %s, %v credit %d, %q\n",
		k.name, name, o.Bot.Label, o.Client.Identity, o.Direction, o.Credit, o.Bot.Payload)
	return nil
}

func (k *fakeSink) Withdraw(cid uint64, reason flow.Reason) {
	k.script.tell("  %s <- withdrawn %d %v\n", k.name, cid, reason)
}
