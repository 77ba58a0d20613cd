package broker

import (
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
)

// PeerID is a peer's number; never used twice while the broker lives.
type PeerID uint64

// ConnectedPeer is a peer between Attach and Leave.
type ConnectedPeer struct {
	ID        PeerID
	Info      PeerInfo
	Connected time.Time
	// Flow is the flow that it takes part in; 0 for none.
	Flow FlowID
}

// peerTable holds the peers that are attached.
type peerTable struct {
	mu          sync.Mutex
	last        PeerID         // guarded by mu
	peers       roll[*Peer]    // guarded by mu
	byTransport map[string]int // guarded by mu
}

func (t *peerTable) attach(p *Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	p.id, p.connected = t.last, time.Now()
	t.peers.add(uint64(p.id), p)
	t.byTransport[p.info.Transport]++
}

func (t *peerTable) leave(p *Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers.remove(uint64(p.id))
	t.byTransport[p.info.Transport]--
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
	return t.peers.before(uint64(id), cap(page), page)
}

// PeersBefore describes the peers with ids below that, the latest first; those
// who come meanwhile are not among them. It locks nothing between two of them.
func (b *Broker) PeersBefore(id PeerID) func(yield func(ConnectedPeer) bool) {
	return func(yield func(ConnectedPeer) bool) {
		for page := make([]*Peer, 0, pageSize); ; {
			if page = b.peers.before(id, page[:0]); len(page) == 0 {
				return
			}
			for _, p := range page {
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
	c := ConnectedPeer{ID: p.id, Info: p.info, Connected: p.connected}
	if f := p.shown.Load(); f != nil && !f.over() {
		c.Flow = f.id
	}
	return c
}

// join makes the flow the peer's own, on that side.
func (p *Peer) join(f *Flow, side flow.Side) {
	p.flow, p.side = f, side
	p.shown.Store(f)
}
