package broker

import (
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/idtable"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
)

// PeerID is a peer's number; never used twice while the broker lives.
type PeerID uint64

// ConnectedPeer is a peer between Attach and Leave.
type ConnectedPeer struct {
	ID        PeerID
	Info      transport.PeerInfo
	Connected time.Time
	// Flow is the flow that it takes part in; 0 for none.
	Flow transport.FlowID
	// Link is what is known of its connection: by a Describer, and by the flow what that
	// leaves open. A flow knows the payload that its peers have sent and that was
	// delivered to them since it was opened, and when a DAT or a PAY came.
	Link transport.LinkInfo
}

// peerTable holds the peers that are attached.
type peerTable struct {
	mu          sync.Mutex
	last        PeerID               // guarded by mu
	peers       idtable.Table[*Peer] // guarded by mu
	byTransport map[string]int       // guarded by mu
}

func (t *peerTable) attach(p *Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	p.id, p.connected = t.last, time.Now()
	t.peers.Add(uint64(p.id), p)
	t.byTransport[p.countedAs()]++
}

func (t *peerTable) leave(p *Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers.Remove(uint64(p.id))
	t.byTransport[p.countedAs()]--
}

// countedAs is the transport as which the peer is counted: what is connected to another
// node is counted there.
func (p *Peer) countedAs() string {
	if p.party.Info.Node != "" {
		return "cluster"
	}
	return p.party.Info.Transport
}

// count is how many there are, by transport.
func (t *peerTable) count() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	count := make(map[string]int, len(t.byTransport))
	for transport, n := range t.byTransport {
		count[transport] = n
	}
	return count
}

func (t *peerTable) before(id PeerID, page []*Peer) []*Peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers.Before(uint64(id), cap(page), page)
}

// find returns the peer with that id, nil if there is none.
func (t *peerTable) find(id PeerID) *Peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, _ := t.peers.Find(uint64(id))
	return p
}

// PeersBefore describes the peers of a transport with ids below that, the latest
// first; an empty transport stands for all. Those who come meanwhile are not among
// them. It locks nothing between two of them, and looks closely only at those that it
// yields.
func (b *Broker) PeersBefore(id PeerID, transport string) func(yield func(ConnectedPeer) bool) {
	return func(yield func(ConnectedPeer) bool) {
		for page := make([]*Peer, 0, pageSize); ; {
			if page = b.peers.before(id, page[:0]); len(page) == 0 {
				return
			}
			for _, p := range page {
				if transport != "" && p.party.Info.Transport != transport {
					continue
				}
				if !yield(p.describe()) {
					return
				}
			}
			id = page[len(page)-1].id
		}
	}
}

// describe may be called by anybody at any time.
func (p *Peer) describe() ConnectedPeer {
	c := ConnectedPeer{ID: p.id, Info: p.party.Info, Connected: p.connected}
	link, describes := p.party.Link.(transport.Describer)
	if describes {
		c.Link = link.Describe()
	}
	if f := p.party.Flow(); f != nil {
		c.Flow = f.DescribePeer(&p.party, &c.Link, describes)
	}
	return c
}

// join makes the flow the peer's own, on that side.
func (p *Peer) join(f *relay.Flow, side flow.Side) {
	p.flow, p.side = f, side
	p.party.Join(f)
}
