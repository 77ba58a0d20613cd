package broker

import (
	"context"
	"log/slog"
	"sync"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/text"
)

// Elsewhere is the other nodes of a cluster, as far as a handler here may show the cid of an
// offer of theirs. Its methods may be called concurrently.
type Elsewhere interface {
	// Knows tells whether there is a node that can have made the offer of that cid.
	Knows(cid uint64) bool
	// Reach has the offer taken by who has made it. It does not block: what comes of it, it
	// tells the Acceptance.
	Reach(*Acceptance)
	// Decline has the offer refused. The error is that of Broker.Decline.
	Decline(ctx context.Context, by transport.PeerInfo, cid uint64, detail string) error
}

// maxAhead bounds what a handler may send while its cid is looked for at another node, in
// messages.
const maxAhead = 64

// Acceptance is a handler's BOT whose cid is that of an offer elsewhere, while that is asked
// for. Whoever asks calls Taken or Refused, once. Its methods may be called concurrently.
type Acceptance struct {
	// CID is the handler's, Handler who it is, and Match the expression of the right by which
	// it may have the flow; empty for any. Bot is its BOT, not to be changed.
	CID     uint64
	Handler transport.PeerInfo
	Match   string
	Bot     *zio.Message
	// Direction and Credit are the BOT's.
	Direction zio.Direction
	Credit    int64

	peer   *Peer
	parsed zio.Bot
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	over   bool        // guarded by mu; it was told what came of it, or the handler has gone
	flow   *relay.Flow // guarded by mu; nil unless it was taken
	ahead  []ahead     // guarded by mu; what the handler has sent meanwhile
	closed bool        // guarded by mu; it will send nothing more
}

// ahead is a message that came before the handler's BOT was answered.
type ahead struct {
	head         zio.Head
	message      *zio.Message
	size, weight int
}

// Context ends when the handler has gone, so that nobody wants the flow any more.
func (a *Acceptance) Context() context.Context { return a.ctx }

// reach has an offer looked for elsewhere; false if nobody can have made it. A gateway that
// takes no new flows does not take part in others' either: the offer stays as it is.
func (p *Peer) reach(m *zio.Message, bot zio.Bot, may rights.Rights) bool {
	others := p.broker.others()
	if others == nil || p.near || bot.CID.Form != zio.Integer || bot.CID.Value <= 0 || bot.CID.Value > zio.MaxCID ||
		!others.Knows(uint64(bot.CID.Value)) {
		return false
	}
	if no := p.broker.registry.mayRegister(); no != nil {
		p.broker.quotas.release(p.party.Info.Name)
		p.refuse(no.Reason, no.Detail)
		return true
	}
	text := ""
	if may.Match != nil {
		if text = matching.Text(may.Match); text == "" {
			return false // nobody else can be told
		}
	}
	m.Hold()
	a := &Acceptance{
		CID: uint64(bot.CID.Value), Handler: p.party.Info, Match: text, Bot: m,
		Direction: bot.Direction, Credit: max(0, bot.Credit.Value), peer: p, parsed: bot,
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	p.away = a
	others.Reach(a)
	return true
}

// settle takes note of what has come of the peer's acceptance; true while nothing has.
func (p *Peer) settle() (waits bool) {
	a := p.away
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		return true
	}
	p.away = nil
	if a.flow == nil {
		p.told = true
	} else {
		p.flow, p.side = a.flow, flow.Handler
	}
	return false
}

// forsake gives the acceptance up, if there is one: the offer stays as it is, or whoever has
// taken it meanwhile finds that the handler has gone.
func (p *Peer) forsake() {
	if a := p.away; a != nil && a.end() {
		p.away = nil
		p.broker.quotas.release(p.party.Info.Name)
	}
	p.settle()
}

// end ends the acceptance, unless it is over.
func (a *Acceptance) end() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return false
	}
	a.finish()
	return true
}

// finish is the end of the acceptance. mu is held.
func (a *Acceptance) finish() {
	a.over = true
	a.cancel()
	a.Bot.Release()
	for _, m := range a.ahead {
		m.message.Release()
	}
	a.ahead = nil
}

// put keeps a message until the BOT is answered; false if there is no room for it.
func (a *Acceptance) put(head zio.Head, m *zio.Message, size, weight int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.over: // in this moment: settle comes first
		if a.flow == nil {
			m.Release()
		} else {
			a.flow.Receive(flow.Handler, head, m, size, weight)
		}
		return true
	case len(a.ahead) >= maxAhead:
		return false
	}
	a.ahead = append(a.ahead, ahead{head, m, size, weight})
	return true
}

// closeSend tells that the handler will send nothing more.
func (a *Acceptance) closeSend() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.flow != nil {
		a.flow.Step(flow.CloseSend(flow.Handler))
	}
}

// Taken makes the handler that of a flow whose client, who is reached by the link, is at the
// node that has offered it. Its BOT is that of the client, with the credit that was agreed.
// It returns the client's Peer, which Pauses; or why there is no flow here, which the other node is to be
// told.
func (a *Acceptance) Taken(link transport.Link, client transport.PeerInfo, m *zio.Message) (*Peer, *flow.Error) {
	bot, err := zio.ParseBot(m.Label)
	if err != nil {
		return nil, a.Refused(flow.ProtocolError, text.Detail("the client: "+err.Error()))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return nil, &flow.Error{Reason: flow.PeerGone, Detail: "the handler has left"}
	}
	p, b := a.peer, a.peer.broker
	c := b.AttachWith(link, client, nil)
	c.Pauses()
	f := relay.New(&b.host, b.limits().flow(), &c.party, m, bot)
	_ = b.quotas.acquire(client.Name, 0) // counted at its own node as well
	if no := b.registry.register(f); no != nil {
		b.quotas.release(client.Name)
		c.Leave(no.Detail)
		return nil, a.refused(no.Reason, no.Detail)
	}
	c.join(f, flow.Client)
	f.Met()
	if no := f.Accept(&p.party, a.Bot, a.parsed); no != nil {
		c.Leave(no.Detail)
		return nil, a.refused(no.Reason, no.Detail)
	}
	a.flow = f
	waiting := a.ahead
	a.ahead = nil
	for _, m := range waiting {
		f.ReceiveNow(flow.Handler, m.head, m.message, m.size, m.weight)
	}
	if a.closed {
		f.Step(flow.CloseSend(flow.Handler))
	}
	a.finish()
	return c, nil
}

// Refused tells the handler that it does not get the flow, and returns why.
func (a *Acceptance) Refused(reason flow.Reason, detail string) *flow.Error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return &flow.Error{Reason: reason, Detail: detail}
	}
	return a.refused(reason, detail)
}

// NoOffer is Refused where nobody has such an offer.
func (a *Acceptance) NoOffer() { _ = a.Refused(flow.Rejected, routing.ErrNoOffer.Error()) }

// refused is Refused. mu is held, and it is not over.
func (a *Acceptance) refused(reason flow.Reason, detail string) *flow.Error {
	p := a.peer
	a.finish()
	p.broker.quotas.release(p.party.Info.Name)
	detail = text.Detail(detail)
	p.broker.registry.refuse(reason)
	p.broker.say(slog.LevelInfo, lineRefused, p.party.Info, "BOT refused", "peer", p.party.Info, "reason", reason.String(), "detail", detail)
	p.deliverEnd(reason.String(), reason, detail)
	return &flow.Error{Reason: reason, Detail: detail}
}
