package peers

import (
	"net/netip"
	"time"

	"github.com/zioflow/gateway/zre/wire"
)

// Options are the bounds and times of a node. DefaultOptions has them all.
type Options struct {
	// Evasive is after how long a silent peer is sent a PING, and how often; Expire
	// after how long it is given up.
	Evasive, Expire time.Duration
	// Welcome is how long a peer may take to connect and say HELLO, from the first
	// that is heard of it.
	Welcome time.Duration
	// Grace is for how long a peer's own connection may be closed: it makes another one
	// when it forgets this node and finds it again.
	Grace time.Duration
	// Answer is for how long after a HELLO none is answered by another (PEER-11), and
	// after how long without an answer it is said again, once.
	Answer time.Duration
	// Renew is the sequence number after which a peer is sent HELLO anew (PEER-5).
	Renew uint16

	// MaxPeers is how many peers there may be, PerHost how many of one address, and
	// MaxBytes how many bytes of names and headers they may have together.
	MaxPeers, PerHost, MaxBytes int
	// Connecting is how many connections may be begun and not made, of one address a
	// quarter of it; DialRate how many may be begun in a second.
	Connecting int
	DialRate   float64
	// FirstRetry is for how long an inbox that could not be reached is not tried again.
	// With every further failure that doubles, up to LastRetry. Of MaxFailures inboxes
	// that is remembered.
	FirstRetry, LastRetry time.Duration
	MaxFailures           int
}

// DefaultOptions are those of every node but in tests.
func DefaultOptions() Options {
	return Options{
		Evasive: 5 * time.Second, Expire: 30 * time.Second, Welcome: 15 * time.Second,
		Grace: 2 * time.Second, Answer: 5 * time.Second, Renew: 65000,
		MaxPeers: 1024, PerHost: 128, MaxBytes: 4 << 20,
		Connecting: 32, DialRate: 64, FirstRetry: time.Second, LastRetry: 30 * time.Second, MaxFailures: 1024,
	}
}

// Announcement is what this node says about itself.
type Announcement struct {
	Name string
	// Sites are the networks that it is on. Others are not heard.
	Sites []Site
	// Own are all addresses of this machine. Peers at one that is on no site belong to
	// the loopback site, or else to the first.
	Own []netip.Addr
}

// Site is a network, with what is announced there.
type Site struct {
	// Prefix is this node's address there, with the network's bits.
	Prefix netip.Prefix
	// Endpoint is the inbox as it is reached from there, Headers are what is announced
	// there, and Here what is announced to nodes on this machine.
	Endpoint      string
	Headers, Here map[string]string
}

// at returns the site of an address, and whether that is this machine's own.
func (a *Announcement) at(host netip.Addr) (site *Site, own, ok bool) {
	own = host.IsLoopback()
	for _, addr := range a.Own {
		own = own || addr == host
	}
	for i := range a.Sites {
		s := &a.Sites[i]
		switch {
		case s.Prefix.Addr() == host, !own && s.Prefix.Contains(host):
			return s, own, true
		case own && (site == nil || s.Prefix.Addr().IsLoopback()):
			site = s
		}
	}
	return site, own, site != nil
}

// Cause is why something that came was dropped, in one word.
type Cause string

// The causes.
const (
	Own         Cause = "own"         // a beacon or connection of this node itself
	Malformed   Cause = "malformed"   // no beacon, no message
	Version     Cause = "version"     // of another version
	Elsewhere   Cause = "elsewhere"   // from a network that this node is not on
	Moved       Cause = "moved"       // a beacon that has a connected peer elsewhere than it is
	Taken       Cause = "taken"       // a beacon of an inbox that another peer has
	Busy        Cause = "busy"        // too many connections being made
	Full        Cause = "full"        // too many peers, or bytes
	Bounds      Cause = "bounds"      // a HELLO or message beyond the bounds
	Identity    Cause = "identity"    // a connection in the name of a peer at another address
	Endpoint    Cause = "endpoint"    // a HELLO whose endpoint is not where it comes from
	Sequence    Cause = "sequence"    // messages lost, or a HELLO whose number is not 1
	NoHello     Cause = "no_hello"    // a peer that has not said HELLO in time, or at all
	Unreachable Cause = "unreachable" // an inbox to which no connection could be made
)

// Causes are all of them.
func Causes() []Cause {
	return []Cause{Own, Malformed, Version, Elsewhere, Moved, Taken, Busy, Full, Bounds, Identity, Endpoint, Sequence, NoHello, Unreachable}
}

// Reason is why a peer has left, in one word.
type Reason string

// The reasons.
const (
	ReasonLeft     Reason = "left"     // its beacon said so
	ReasonClosed   Reason = "closed"   // a connection was closed
	ReasonExpired  Reason = "expired"  // it was silent
	ReasonReplaced Reason = "replaced" // another node has its inbox now
	ReasonProtocol Reason = "protocol" // it sent what it must not
)

// Peer is a peer that has entered, as it is shown to others.
type Peer struct {
	UUID     wire.UUID
	Endpoint netip.AddrPort
	// Local tells whether it is on this machine.
	Local   bool
	Name    string
	Headers map[string]string
}
