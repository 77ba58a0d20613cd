package broker

import (
	"log/slog"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/transport"
)

// rights are what the peer may do now; everything without a grant.
func (p *Peer) rights() rights.Rights {
	if p.grant == nil {
		return rights.Rights{Client: true, Handler: true, Extract: true, Inject: true}
	}
	return p.grant.Rights()
}

// deny answers a BOT that the peer was not allowed.
func (p *Peer) deny(d *flow.Error) {
	p.broker.registry.refuse(d.Reason)
	p.broker.say(slog.LevelWarn, lineDenied, p.party.Info, "BOT refused", "peer", p.party.Info, "reason", d.Reason.String(), "detail", d.Detail, "cause", string(d.Denied))
	p.broker.denied(p.party.Info, d.Denied)
	p.tell(d.Reason.String(), d.Reason, d.Detail)
}

func (b *Broker) denied(peer transport.PeerInfo, what flow.Denial) {
	if tell := b.limits().Denied; tell != nil {
		tell(peer, what)
	}
}
