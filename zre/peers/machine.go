package peers

import (
	"errors"
	"maps"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/zioflow/gateway/zre/wire"
)

// Machine is what a node knows of others. It is not for concurrent use.
type Machine struct {
	self    wire.UUID
	options Options
	says    Announcement

	peers map[wire.UUID]*peer
	outs  map[Out]*peer
	inbox map[netip.AddrPort]*peer // by endpoint
	hosts map[netip.Addr]int       // peers of each
	ins   map[In]*incoming
	names map[wire.UUID]In // whose connection counts

	connecting int
	dialing    map[netip.Addr]int // connecting to each host
	bytes      int                // of names and headers
	last       Out
	dials      *rate.Limiter
	failures   map[netip.AddrPort]failure
	counts     map[Cause]uint64

	now     time.Time
	effects []Effect
}

// peer is another node of which a beacon or a HELLO has come.
type peer struct {
	uuid  wire.UUID
	host  netip.Addr
	own   bool           // on this machine
	inbox netip.AddrPort // where it is connected to
	site  Site           // what it was told

	out       Out
	connected bool
	hello     *wire.Message // nil before it came
	bytes     int           // of it
	entered   bool

	sent      uint16    // the last sequence number sent
	got       uint16    // and received
	since     time.Time // of the first that was heard of it
	helloSent time.Time // when HELLO was last sent
	again     bool      // HELLO was sent again, as none came
	seen      time.Time // its last message
	pinged    time.Time
	closedAt  time.Time // when its own connection was closed; zero while it is open
}

// incoming is a connection of a peer.
type incoming struct {
	uuid  wire.UUID
	from  netip.Addr
	since time.Time
}

// failure is an inbox that could not be reached.
type failure struct {
	until time.Time
	wait  time.Duration
}

// New makes a machine for the node that has that UUID. Until it is told an Announcement
// it hears nobody.
func New(self wire.UUID, o Options) *Machine {
	return &Machine{
		self: self, options: o,
		peers: map[wire.UUID]*peer{}, outs: map[Out]*peer{}, inbox: map[netip.AddrPort]*peer{}, hosts: map[netip.Addr]int{},
		ins: map[In]*incoming{}, dialing: map[netip.Addr]int{}, names: map[wire.UUID]In{},
		dials: rate.NewLimiter(rate.Limit(o.DialRate), max(1, int(o.DialRate))), failures: map[netip.AddrPort]failure{},
		counts: map[Cause]uint64{},
	}
}

// Step takes an event and returns what is to be done, in that order.
func (m *Machine) Step(now time.Time, e Event) []Effect {
	m.now, m.effects = now, nil
	switch e := e.(type) {
	case Announced:
		m.announce(e.Announcement)
	case Heard:
		m.heard(e.From, e.Beacon)
	case Garbled:
		m.refuse(causeOf(e.Err), e.From)
	case Connected:
		m.connect(e.Out)
	case Closed:
		m.closed(e.Out)
	case Opened:
		m.opened(e)
	case Received:
		m.received(e)
	case Dropped:
		m.dropped(e.In)
	case Tick:
		m.tick()
	}
	return m.effects
}

// Counts is how often something was dropped, by cause.
func (m *Machine) Counts() map[Cause]uint64 { return maps.Clone(m.counts) }

// Connecting is how many connections outwards are being made.
func (m *Machine) Connecting() int { return m.connecting }

func (m *Machine) do(e Effect) { m.effects = append(m.effects, e) }

// refuse counts something that was dropped. A node hears its own beacons all the time:
// nobody is told of them.
func (m *Machine) refuse(why Cause, from netip.Addr) {
	m.counts[why]++
	if why != Own {
		m.do(Refused{why, from})
	}
}

func causeOf(err error) Cause {
	switch {
	case errors.Is(err, wire.ErrBeaconVersion), errors.Is(err, wire.ErrVersion):
		return Version
	case errors.Is(err, wire.ErrBounds):
		return Bounds
	}
	return Malformed
}

// announce tells peers what has changed for them.
func (m *Machine) announce(a Announcement) {
	renamed := m.says.Name != a.Name
	m.says = a
	for _, p := range m.peers {
		site, _, ok := a.at(p.host)
		if !ok {
			continue
		}
		was := p.site
		p.site = *site
		if !renamed && was.Endpoint == p.site.Endpoint && maps.Equal(p.headersFor(&was), p.headersFor(&p.site)) {
			continue
		}
		if p.connected {
			m.sayHello(p)
		}
	}
}

// sayHello begins the sequence of messages, or begins it anew (PEER-5).
func (m *Machine) sayHello(p *peer) {
	p.sent, p.helloSent = 1, m.now
	m.do(Send{p.out, wire.Message{
		Command: wire.Hello, Sequence: 1, Endpoint: p.site.Endpoint, Name: m.says.Name, Headers: p.headersFor(&p.site),
	}})
}

// headersFor is what a peer of a site is told.
func (p *peer) headersFor(s *Site) map[string]string {
	if p.own {
		return s.Here
	}
	return s.Headers
}

// say sends a message after HELLO.
func (m *Machine) say(p *peer, c wire.Command) {
	if !p.connected {
		return
	}
	if p.sent >= m.options.Renew {
		m.sayHello(p)
	}
	p.sent++
	m.do(Send{p.out, wire.Message{Command: c, Sequence: p.sent}})
}

// shown is how others see a peer that has said HELLO.
func (p *peer) shown() Peer {
	return Peer{p.uuid, p.inbox, p.own, p.hello.Name, p.hello.Headers}
}

// enter tells of a peer, if all is there for it.
func (m *Machine) enter(p *peer) {
	switch {
	case p.hello == nil || !p.connected:
	case p.entered:
		m.do(Changed{p.shown()})
	default:
		p.entered = true
		m.do(Entered{p.shown()})
	}
}
