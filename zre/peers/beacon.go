package peers

import (
	"net/netip"
	"time"

	"github.com/zioflow/gateway/zre/wire"
)

// heard takes a beacon (PEER-6, PEER-7). It is no sign of life of a peer: the
// connections are.
func (m *Machine) heard(from netip.Addr, b wire.Beacon) {
	if b.UUID == m.self {
		m.refuse(Own, from)
		return
	}
	site, own, ok := m.says.at(from)
	if !ok {
		m.refuse(Elsewhere, from)
		return
	}
	p, inbox := m.peers[b.UUID], netip.AddrPortFrom(from, b.Port)
	switch {
	case p == nil && b.Port == 0: // nobody who is known
	case p == nil:
		m.discover(b.UUID, inbox, site, own)
	case p.host != from && (!p.own || !own):
		m.refuse(Moved, from)
	case b.Port == 0:
		m.remove(p, ReasonLeft)
	case p.inbox.Port() != b.Port:
		m.refuse(Moved, from)
	}
}

// discover connects to a node of which a beacon came.
func (m *Machine) discover(uuid wire.UUID, inbox netip.AddrPort, site *Site, own bool) {
	from := inbox.Addr()
	switch {
	case own && m.mine(inbox):
		m.refuse(Own, from)
	case m.inbox[inbox] != nil:
		m.refuse(Taken, from)
	case m.failures[inbox].until.After(m.now): // it is tried again later
	case !m.room(from):
		m.refuse(Full, from)
	case !m.mayDial(from):
		m.refuse(Busy, from)
	default:
		m.dial(m.add(uuid, from, own, site), inbox)
	}
}

// mine tells whether an inbox of this machine is this node's.
func (m *Machine) mine(inbox netip.AddrPort) bool {
	for i := range m.says.Sites {
		if at, ok := parseEndpoint(m.says.Sites[i].Endpoint); ok && at.Port() == inbox.Port() {
			return true
		}
	}
	return false
}

// room tells whether there may be another peer at an address.
func (m *Machine) room(host netip.Addr) bool {
	return len(m.peers) < m.options.MaxPeers && m.hosts[host] < m.options.PerHost
}

// mayDial tells whether another connection may be begun to an address.
func (m *Machine) mayDial(host netip.Addr) bool {
	if m.connecting >= m.options.Connecting {
		return false
	}
	return m.dialing[host] < max(1, m.options.Connecting/4) && m.dials.AllowN(m.now, 1)
}

// add takes in a peer.
func (m *Machine) add(uuid wire.UUID, host netip.Addr, own bool, site *Site) *peer {
	p := &peer{uuid: uuid, host: host, own: own, site: *site, since: m.now, seen: m.now}
	m.peers[uuid] = p
	m.hosts[host]++
	return p
}

// dial connects to a peer's inbox.
func (m *Machine) dial(p *peer, inbox netip.AddrPort) {
	m.last++
	p.inbox, p.out, p.connected = inbox, m.last, false
	m.inbox[inbox], m.outs[p.out] = p, p
	m.connecting++
	m.dialing[p.host]++
	m.do(Dial{p.out, inbox})
}

// hang ends the connection to a peer's inbox.
func (m *Machine) hang(p *peer) {
	if p.out == 0 {
		return
	}
	m.do(Hang{p.out})
	m.forgetOut(p)
}

func (m *Machine) forgetOut(p *peer) {
	if !p.connected {
		m.dialed(p)
	}
	delete(m.outs, p.out)
	if m.inbox[p.inbox] == p {
		delete(m.inbox, p.inbox)
	}
	p.out, p.connected = 0, false
}

// dialed takes note that a connection is not being made any more.
func (m *Machine) dialed(p *peer) {
	m.connecting--
	if m.dialing[p.host]--; m.dialing[p.host] == 0 {
		delete(m.dialing, p.host)
	}
}

// remove takes a peer out, with its connections.
func (m *Machine) remove(p *peer, why Reason) {
	m.hang(p)
	if in := m.names[p.uuid]; in != 0 {
		m.closeIncoming(in)
	}
	delete(m.peers, p.uuid)
	if m.hosts[p.host]--; m.hosts[p.host] == 0 {
		delete(m.hosts, p.host)
	}
	m.bytes -= p.bytes
	if p.entered {
		m.do(Exited{p.uuid, why})
	}
}

// connect takes note that the inbox of a peer is reached.
func (m *Machine) connect(out Out) {
	p := m.outs[out]
	if p == nil {
		return
	}
	m.dialed(p)
	p.connected = true
	delete(m.failures, p.inbox)
	m.sayHello(p)
	m.enter(p)
}

// closed takes note that it is not, or not any more.
func (m *Machine) closed(out Out) {
	p := m.outs[out]
	if p == nil {
		return
	}
	was, inbox := p.connected, p.inbox
	m.forgetOut(p)
	if !was {
		m.fail(inbox)
		m.refuse(Unreachable, p.host)
	}
	m.remove(p, ReasonClosed)
}

// fail has an inbox not be tried for a while.
func (m *Machine) fail(inbox netip.AddrPort) {
	f, known := m.failures[inbox]
	if !known && len(m.failures) >= m.options.MaxFailures {
		return
	}
	f.wait = min(max(2*f.wait, m.options.FirstRetry), m.options.LastRetry)
	f.until = m.now.Add(f.wait)
	m.failures[inbox] = f
}

// forgive forgets failures that are long past.
func (m *Machine) forgive() {
	for inbox, f := range m.failures {
		if m.now.Sub(f.until) > max(f.wait, 10*time.Second) {
			delete(m.failures, inbox)
		}
	}
}
