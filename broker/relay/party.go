package relay

import (
	"slices"
	"sync/atomic"

	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/transport"
)

// Party is a peer as its flow sees it. Its fields are set before it takes part in one; its
// methods are called by the goroutine that receives from the peer, but for Flow.
type Party struct {
	Link  transport.Link
	Info  transport.PeerInfo
	Bytes *budget.Account // what was read from it
	// Stays: its connection goes on after a flow. Pauses: its transport stops reading
	// when Bytes' Charge waits.
	Stays, Pauses bool

	flow    atomic.Pointer[Flow]
	corked  bool             // deliveries are flushed by Uncork
	waiting []transport.Link // to be flushed by it
}

// Join makes the flow the one that the peer takes part in, or took part in last.
func (p *Party) Join(f *Flow) { p.flow.Store(f) }

// Flow is the latest flow; nil before the first. It may be called concurrently.
func (p *Party) Flow() *Flow { return p.flow.Load() }

// Cork has what the peer's messages cause to be delivered wait for Uncork, so that
// many messages are written at once.
func (p *Party) Cork() { p.corked = true }

// Uncork flushes what was delivered since Cork.
func (p *Party) Uncork() {
	p.corked = false
	for i, link := range p.waiting {
		p.waiting[i] = nil
		link.Flush()
	}
	p.waiting = p.waiting[:0]
}

// flushLater has Uncork flush the link, which may be nil.
func (p *Party) flushLater(link transport.Link) {
	if link != nil && !slices.Contains(p.waiting, link) {
		p.waiting = append(p.waiting, link)
	}
}
