package broker

import (
	"fmt"
	"log/slog"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/rights"
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
	p.broker.refused(d.Reason)
	p.broker.say(slog.LevelWarn, lineDenied, p.info, "BOT refused", "peer", p.info, "reason", d.Reason.String(), "detail", d.Detail, "cause", string(d.Denied))
	p.broker.denied(p.info, d.Denied)
	p.tell(d.Reason.String(), d.Reason, d.Detail)
}

func (b *Broker) denied(peer PeerInfo, what flow.Denial) {
	if tell := b.limits().Denied; tell != nil {
		tell(peer, what)
	}
}

// hold counts one more flow of that name, unless it has as many as it may. A
// peer without a name is not counted.
func (b *Broker) hold(name string, most int) *flow.Error {
	if name == "" {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if most > 0 && b.held[name] >= most {
		return &flow.Error{Reason: flow.Overloaded, Detail: fmt.Sprintf("%s has as many flows as it may, %d", name, most), Denied: flow.DeniedFlows}
	}
	b.held[name]++
	return nil
}

// unhold counts one flow of that name less.
func (b *Broker) unhold(name string) {
	if name == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[name]--; b.held[name] <= 0 {
		delete(b.held, name)
	}
}
