package peers

import (
	"net/netip"
	"strings"
	"time"

	"github.com/zioflow/gateway/zre/wire"
)

// parseEndpoint reads tcp://IP:PORT.
func parseEndpoint(endpoint string) (netip.AddrPort, bool) {
	rest, ok := strings.CutPrefix(endpoint, "tcp://")
	if !ok {
		return netip.AddrPort{}, false
	}
	at, err := netip.ParseAddrPort(rest)
	return at, err == nil && at.Port() != 0
}

// opened takes a connection in a peer's name. Of two from the same address the newer one
// counts: the peer has forgotten this node and found it again.
func (m *Machine) opened(e Opened) {
	_, own, ok := m.says.at(e.From)
	p, older := m.peers[e.UUID], m.ins[m.names[e.UUID]]
	switch {
	case e.UUID == m.self:
		m.refuse(Own, e.From)
		m.do(Cut{e.In})
		return
	case !ok:
		m.refuse(Elsewhere, e.From)
		m.do(Cut{e.In})
		return
	case p != nil && p.host != e.From && (!p.own || !own), older != nil && older.from != e.From && !own:
		m.refuse(Identity, e.From)
		m.do(Cut{e.In})
		return
	case older != nil:
		m.closeIncoming(m.names[e.UUID])
	}
	m.ins[e.In] = &incoming{e.UUID, e.From, m.now}
	m.names[e.UUID] = e.In
	if p != nil {
		p.closedAt = time.Time{}
	}
}

// closeIncoming closes a connection that came in.
func (m *Machine) closeIncoming(in In) {
	m.do(Cut{in})
	m.forgetIn(in)
}

func (m *Machine) forgetIn(in In) {
	if c := m.ins[in]; c != nil && m.names[c.uuid] == in {
		delete(m.names, c.uuid)
	}
	delete(m.ins, in)
}

// dropped takes note that a connection that came in has ended.
func (m *Machine) dropped(in In) {
	c := m.ins[in]
	if c == nil {
		return
	}
	m.forgetIn(in)
	if p := m.peers[c.uuid]; p != nil && p.hello != nil {
		p.closedAt = m.now
	}
}

// received takes a message.
func (m *Machine) received(e Received) {
	c := m.ins[e.In]
	if c == nil {
		return
	}
	p := m.peers[c.uuid]
	switch {
	case e.Err != nil:
		m.offend(e.In, causeOf(e.Err))
	case e.Message.Command == wire.Hello:
		m.hello(e.In, c, p, &e.Message)
	case p == nil || p.hello == nil:
		m.refuse(NoHello, c.from)
	case !follows(p.got, e.Message.Sequence):
		m.offend(e.In, Sequence)
	default:
		p.got, p.seen = e.Message.Sequence, m.now
		if e.Message.Command == wire.Ping { // PEER-4
			m.say(p, wire.PingOK)
		}
	}
}

// follows tells whether a sequence number is the next one. Zyre counts to 65535 and goes
// on with 0, pyre to 65534.
func follows(last, next uint16) bool { return next == last+1 || last == 65534 && next == 0 }

// offend ends a connection, and what there is of its peer.
func (m *Machine) offend(in In, why Cause) {
	c := m.ins[in]
	m.refuse(why, c.from)
	m.closeIncoming(in)
	if p := m.peers[c.uuid]; p != nil {
		m.remove(p, ReasonProtocol)
	}
}

// hello takes a HELLO: the first of a peer, or a later one with which it begins anew.
func (m *Machine) hello(in In, c *incoming, p *peer, hello *wire.Message) {
	inbox, ok := parseEndpoint(hello.Endpoint)
	if why := m.fault(c, p, hello, inbox, ok); why != "" {
		m.offend(in, why)
		return
	}
	if p == nil {
		site, own, _ := m.says.at(c.from)
		p = m.add(c.uuid, c.from, own, site)
	}
	answer := p.hello != nil && p.connected && m.now.Sub(p.helloSent) >= m.options.Answer
	m.bytes += helloSize(hello) - p.bytes
	p.hello, p.bytes, p.got, p.seen = hello, helloSize(hello), 1, m.now
	m.do(Greeted{in})
	if p.inbox != inbox {
		m.move(p, inbox)
		return
	}
	if answer { // but never right after one (PEER-11)
		m.sayHello(p)
	}
	m.enter(p)
}

// fault is why a HELLO is refused; empty if it is not. An inbox is where its HELLO comes
// from, or on the same machine as this node, and never this node's own.
func (m *Machine) fault(c *incoming, p *peer, hello *wire.Message, inbox netip.AddrPort, isInbox bool) Cause {
	site, own, _ := m.says.at(c.from)
	_, inboxOwn, onSite := m.says.at(inbox.Addr())
	before := 0
	if p != nil {
		before = p.bytes
	}
	switch {
	case hello.Sequence != 1: // PEER-5
		return Sequence
	case !isInbox, own && m.mine(inbox), inbox.Addr() != c.from && (!own || !inboxOwn || !onSite):
		return Endpoint
	case site == nil, p == nil && !m.room(c.from), m.bytes-before+helloSize(hello) > m.options.MaxBytes:
		return Full
	}
	return ""
}

// move connects to the inbox that a peer's HELLO names. Another peer there has gone: only
// its own machine can have said so.
func (m *Machine) move(p *peer, inbox netip.AddrPort) {
	m.hang(p)
	if other := m.inbox[inbox]; other != nil {
		m.remove(other, ReasonReplaced)
	}
	m.dial(p, inbox)
}

// helloSize is about how much memory a HELLO takes, in bytes.
func helloSize(h *wire.Message) int {
	const each = 48 // for two strings in a map
	size := len(h.Name) + len(h.Endpoint) + each
	for key, value := range h.Headers {
		size += len(key) + len(value) + each
	}
	return size
}

// tick gives up who is silent, or too late, and asks who may be.
func (m *Machine) tick() {
	for _, p := range m.peers {
		m.look(p)
	}
	for in, c := range m.ins {
		if p := m.peers[c.uuid]; (p == nil || p.hello == nil) && m.now.Sub(c.since) >= m.options.Welcome {
			m.offend(in, NoHello)
		}
	}
	m.forgive()
}

func (m *Machine) look(p *peer) {
	o, silent := &m.options, m.now.Sub(p.seen)
	switch {
	case !p.entered && m.now.Sub(p.since) >= o.Welcome:
		m.refuse(NoHello, p.host)
		m.remove(p, ReasonExpired)
	case !p.closedAt.IsZero() && m.now.Sub(p.closedAt) >= o.Grace:
		m.remove(p, ReasonClosed)
	case silent >= o.Expire:
		m.remove(p, ReasonExpired)
	case p.connected && p.hello == nil && !p.again && m.now.Sub(p.helloSent) >= o.Answer:
		p.again = true
		m.sayHello(p)
	case p.entered && silent >= o.Evasive && m.now.Sub(p.pinged) >= o.Evasive:
		p.pinged = m.now
		m.say(p, wire.Ping)
	}
}
