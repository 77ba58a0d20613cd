package broker

import (
	"errors"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
)

// Errors of Disconnect.
var (
	// ErrNoPeer: there is no such peer, or it has left.
	ErrNoPeer = errors.New("no such peer")
	// ErrNoConnection: the peer's link is no Disconnector.
	ErrNoConnection = errors.New("the peer has no connection that could be ended")
)

// Disconnect ends a peer's flow, if it takes part in one, with EndedByAdmin, of which
// both sides are told, and then its connection. It returns how the peer was before,
// also with ErrNoConnection, after which nothing has changed. It does not wait for the
// peer to leave.
func (b *Broker) Disconnect(id PeerID, detail string) (ConnectedPeer, error) {
	p := b.peers.find(id)
	if p == nil {
		return ConnectedPeer{}, ErrNoPeer
	}
	was := p.describe()
	link, connected := p.party.Link.(transport.Disconnector)
	if !connected {
		return was, ErrNoConnection
	}
	if f := p.party.Flow(); f != nil {
		f.Stop(flow.EndedByAdmin, detail)
	}
	link.Disconnect(detail)
	return was, nil
}
