package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"time"

	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/text"
)

// Peer is one connection's side of the broker: what arrives on it goes in here.
// A peer takes part in one flow at a time, and may begin another when that has
// ended. Its methods are called by one goroutine at a time, or at least never
// two at once, and never block.
type Peer struct {
	broker *Broker
	party  relay.Party
	grant  rights.Grant // nil for everything

	early  *budget.Account // for what comes before its flow
	output *budget.Account

	id        PeerID    // set by Attach
	connected time.Time // likewise

	// flow is the latest one, which may have ended; nil before the first.
	flow   *relay.Flow
	side   flow.Side
	direct *routing.Direct // where its flow goes; nil for where a route leads
	warned bool            // was told that it takes part in no flow
	told   bool            // was sent an EOT outside of a flow
	near   bool            // may take what is offered here alone
	away   *Acceptance     // while the offer of its BOT is looked for elsewhere; nil otherwise
}

// Attach tells the broker of a new peer that may do everything. The broker counts
// it until Leave.
func (b *Broker) Attach(link transport.Link, info transport.PeerInfo) *Peer {
	return b.AttachWith(link, info, nil)
}

// AttachWith is Attach for a peer that may do what its grant says. Identity, agent and
// address are cut to text.MaxName: the peer may have chosen them.
func (b *Broker) AttachWith(link transport.Link, info transport.PeerInfo, grant rights.Grant) *Peer {
	info.Address, info.Identity, info.Agent = text.Name(info.Address), text.Name(info.Identity), text.Name(info.Agent)
	p := &Peer{broker: b, party: relay.Party{Link: link, Info: info}, grant: grant}
	p.party.Bytes = b.budget.NewAccount(p.owner(), b.limits().MaxFlowBytes)
	p.early = b.early.NewAccount(p.owner(), math.MaxInt64)
	p.output = b.budget.NewAccount("", 0)
	b.peers.attach(p)
	return p
}

// What another node has found for a flow and is not there any more.
var (
	// ErrNoListener tells that there is no such listener at this node, or it has left.
	ErrNoListener = errors.New("no such listener")
	// ErrNoRoute tells that no such route was added at this node, or it was removed.
	ErrNoRoute = errors.New("no such route")
)

// AttachCarried is Attach for the client of a flow that another node has found a listener
// for: that listener alone is offered it, whatever its match says. The error is
// ErrNoListener.
func (b *Broker) AttachCarried(link transport.Link, info transport.PeerInfo, listener uint64) (*Peer, error) {
	only := b.listeners.Near(listener)
	if only == nil {
		return nil, ErrNoListener
	}
	return b.attachDirect(link, info, only.Directly()), nil
}

// AttachRouted is AttachCarried for a flow that another node has found a route for that was
// added here, by its number: that route's factory finds the handler, and no other is looked for.
// The error is ErrNoRoute.
func (b *Broker) AttachRouted(link transport.Link, info transport.PeerInfo, route uint64) (*Peer, error) {
	to, found := b.router.Table.Directly(route)
	if !found {
		return nil, ErrNoRoute
	}
	return b.attachDirect(link, info, to), nil
}

func (b *Broker) attachDirect(link transport.Link, info transport.PeerInfo, to routing.Direct) *Peer {
	p := b.AttachWith(link, info, nil)
	p.direct = &to
	return p
}

// owner is on whose behalf the peer uses memory: the name it has proved, or the
// host it comes from.
func (p *Peer) owner() string {
	if p.party.Info.Name != "" {
		return p.party.Info.Name
	}
	if host, _, err := net.SplitHostPort(p.party.Info.Address); err == nil {
		return host
	}
	return p.party.Info.Address
}

// Bytes is the account of what was read from the peer and is still here. It may be
// used concurrently, also after Leave.
func (p *Peer) Bytes() *budget.Account { return p.party.Bytes }

// Early is the account of what belongs to a large message of a peer that takes part in
// no flow, and may be a stranger: no message is let in by it when there is no room. Used
// as Bytes is.
func (p *Peer) Early() *budget.Account { return p.early }

// Idle tells whether the peer takes part in no flow. It is called by who calls Receive.
func (p *Peer) Idle() bool { return !p.busy() }

// Output is the account of what the peer's transport has made for it to send, such
// as encrypted copies. It may be used concurrently, also after Leave. Nothing waits
// for room in it: Add.
func (p *Peer) Output() *budget.Account { return p.output }

// Stays tells that the peer's connection goes on when a flow has ended, and may carry
// another one. It is called before the first Receive.
func (p *Peer) Stays() { p.party.Stays = true }

// Pauses tells that the peer's transport asks Bytes before it reads, and does not
// read while it waits. It is called before the first Receive.
func (p *Peer) Pauses() { p.party.Pauses = true }

// Cork has what the peer's messages cause to be delivered wait for Uncork, so that
// many messages are written at once.
func (p *Peer) Cork() { p.party.Cork() }

// Uncork flushes what was delivered since Cork.
func (p *Peer) Uncork() { p.party.Uncork() }

// Receive takes a message that the peer has sent. The message belongs to the
// broker from the call on.
func (p *Peer) Receive(m *zio.Message) {
	if problem := relay.LongLabel(m); problem != "" {
		m.Release()
		p.TooLarge(problem)
		return
	}
	head, err := zio.Peek(m.Label)
	if err != nil {
		m.Release()
		p.receiveUnread(head, err)
		return
	}
	p.ReceiveRead(head, m)
}

// ReceiveRead is Receive for a transport that knows what Peek would answer for
// the message's label.
func (p *Peer) ReceiveRead(head zio.Head, m *zio.Message) {
	size := m.Size()
	weight := size + m.Burden()
	switch {
	case head.Type == zio.BOT:
		p.receiveBot(m, head)
	case p.settle() && !relay.Oversize(m, weight, p.limits()):
		if !p.away.put(head, m, size, weight) {
			m.Release()
			p.Fail(flow.Overrun, "the handler sends on before its BOT is answered")
		}
	case relay.Oversize(m, weight, p.limits()):
		problem := relay.TooLarge(m, p.limits())
		m.Release()
		p.Fail(flow.MessageTooLarge, problem)
	case p.flow == nil:
		m.Release()
		p.receiveStray(head)
	default:
		p.flow.Receive(p.side, head, m, size, weight)
	}
}

// limits are those of the flow in which the peer takes part.
func (p *Peer) limits() *relay.Limits {
	if p.flow != nil {
		return p.flow.Limits()
	}
	return p.broker.limits().flow()
}

// Malformed tells of something from the peer that is no ZIO message. It ends the
// peer's flow, if there is one, and touches no other (BRK-19).
func (p *Peer) Malformed(err error) { p.Fail(flow.ProtocolError, err.Error()) }

// Fail ends the peer's flow because of something that the peer did, or, of a handler inside
// the gateway, cannot do. A peer that has had no flow is told once; one whose flow has ended was
// told by that end.
func (p *Peer) Fail(reason flow.Reason, detail string) {
	if p.settle() {
		p.forsake()
	}
	switch {
	case p.busy():
		p.flow.Stop(reason, fmt.Sprintf("the %v: %s", p.side, detail))
	case p.flow == nil && !p.warned:
		p.warned = true
		p.tell(reason.String(), reason, detail)
	}
}

// busy tells whether the peer takes part in a flow that has not ended.
func (p *Peer) busy() bool { return p.settle() || p.flow != nil && !p.flow.Over() }

// CloseSend tells that the peer will send nothing more but still receives.
func (p *Peer) CloseSend() {
	if p.settle() {
		p.away.closeSend()
	} else if p.flow != nil {
		p.flow.Step(flow.CloseSend(p.side))
	}
}

// Leave tells that the peer is gone, and how that was seen. It is called once for
// every Attach; no other method may be called after it, but for Flow.
func (p *Peer) Leave(detail string) {
	p.broker.peers.leave(p)
	p.forsake()
	if p.flow != nil {
		p.flow.Step(flow.Left(p.side, detail))
		p.flow.ForgetAnswer(p.side)
	}
}

// Flow is the peer's latest flow, nil before the first.
func (p *Peer) Flow() *relay.Flow {
	p.settle()
	return p.flow
}

// receiveUnread answers a ZIO message whose label makes no sense. Who sent it for
// a BOT waits for an answer.
func (p *Peer) receiveUnread(head zio.Head, err error) {
	if head.Type == zio.BOT && !p.busy() {
		p.refuse(flow.ProtocolError, err.Error())
	} else {
		p.Malformed(err)
	}
}

// TooLarge tells of a message that is too large to be kept, or to be read. As it may
// have been a BOT, whose sender waits for an answer, a peer without a flow is told
// each time.
func (p *Peer) TooLarge(problem string) {
	if p.busy() {
		p.Fail(flow.MessageTooLarge, problem)
	} else {
		p.refuse(flow.MessageTooLarge, problem)
	}
}

func (p *Peer) receiveBot(m *zio.Message, head zio.Head) {
	defer m.Release()
	bot, err := zio.ParseBot(m.Label)
	if p.settle() {
		if err == nil && bot.CID == p.away.parsed.CID {
			return // a duplicate: the first one is being served (BRK-9)
		}
		p.forsake()
	}
	if p.flow != nil && p.flow.PendingFor(&p.party) {
		if err == nil && bot.CID.Form != zio.Absent {
			p.Fail(flow.ProtocolError, "a BOT with cid came while its own BOT waits for a handler")
		}
		return // a duplicate: the first one is being served (BRK-9)
	}
	if p.flow != nil { // begins anew (BRK-13)
		p.flow.Step(flow.Received(p.side, head, m.Seqno, 0))
		p.flow.ForgetAnswer(p.side)
		p.flow = nil
	}
	p.warned = false
	switch {
	case err != nil:
		p.refuse(flow.ProtocolError, err.Error())
	case relay.Oversize(m, m.Weight(), p.limits()):
		p.refuse(flow.MessageTooLarge, relay.TooLarge(m, p.limits()))
	case bot.Problem() != "":
		p.refuse(flow.ProtocolError, bot.Problem())
	case bot.CID.Form == zio.Absent:
		p.open(m, bot)
	default:
		p.accept(m, bot)
	}
}

// open begins a flow with this peer as client.
func (p *Peer) open(m *zio.Message, bot zio.Bot) {
	may := p.rights()
	if no := may.MayTake(flow.Client, bot.Direction); no != nil {
		p.deny(no)
		return
	}
	if no := p.broker.quotas.acquire(p.party.Info.Name, may.MaxFlows); no != nil {
		p.deny(no)
		return
	}
	f := relay.New(&p.broker.host, p.broker.limits().flow(), &p.party, m, bot)
	if p.direct != nil {
		f.GoDirectly(*p.direct)
	}
	if no := p.broker.registry.register(f); no != nil {
		p.broker.quotas.release(p.party.Info.Name)
		p.refuse(no.Reason, no.Detail)
		return
	}
	p.join(f, flow.Client)
	f.Seek(may.Match)
}

// accept makes this peer the handler of the flow that was offered with the
// BOT's cid (BRK-6). An offer that the peer may not accept stays open to those
// who may.
func (p *Peer) accept(m *zio.Message, bot zio.Bot) {
	may := p.rights()
	if no := may.MayTake(flow.Handler, bot.Direction); no != nil {
		p.deny(no)
		return
	}
	if no := p.broker.router.Offers.MayAccept(bot.CID, may); no != nil {
		p.deny(no)
		return
	}
	if no := p.broker.quotas.acquire(p.party.Info.Name, may.MaxFlows); no != nil {
		p.deny(no)
		return
	}
	f, err := p.broker.takeOffer(bot.CID, p.party.Info.Name)
	if errors.Is(err, routing.ErrNoOffer) && p.reach(m, bot, may) {
		return
	}
	if err != nil {
		p.broker.quotas.release(p.party.Info.Name)
		p.turnAway(err)
		return
	}
	if no := f.Accept(&p.party, m, bot); no != nil {
		p.broker.quotas.release(p.party.Info.Name)
		p.refuse(no.Reason, no.Detail)
		return
	}
	p.join(f, flow.Handler)
}

// turnAway refuses a BOT whose cid is none that the peer may accept.
func (p *Peer) turnAway(err error) {
	if no, ok := errors.AsType[*flow.Error](err); ok {
		p.deny(no)
	} else {
		p.refuse(flow.Rejected, err.Error())
	}
}

// refuse answers a BOT that does not become a flow.
func (p *Peer) refuse(reason flow.Reason, detail string) {
	p.broker.registry.refuse(reason)
	detail = text.Detail(detail)
	p.broker.say(slog.LevelInfo, lineRefused, p.party.Info, "BOT refused", "peer", p.party.Info, "reason", reason.String(), "detail", detail)
	p.tell(reason.String(), reason, detail)
}

// receiveStray answers a message that belongs to no flow: after a restart of
// the gateway its peer would otherwise wait for ever (BRK-18).
func (p *Peer) receiveStray(head zio.Head) {
	if p.warned || head.Type == zio.EOT && p.told {
		return // an EOT that answers ours is the end
	}
	p.warned = true
	p.tell("unknown flow", flow.ProtocolError, article(head.Type)+" came without a BOT before it")
}

// article is a type with the article that it takes.
func article(t zio.Type) string {
	if t == zio.EOT {
		return "an EOT"
	}
	return "a " + t.String()
}

func (p *Peer) tell(word string, reason flow.Reason, detail string) {
	p.told = true
	p.deliverEnd(word, reason, detail)
}

// deliverEnd tells the peer how a flow that there is none of has ended.
func (p *Peer) deliverEnd(word string, reason flow.Reason, detail string) {
	detail = text.Detail(detail)
	// A peer that can't be told has left, and its transport will say so.
	_ = p.party.Link.Deliver(transport.Delivery{
		Message: relay.OwnMessage(zio.ErrorLabel(word, detail), 0),
		Type:    zio.EOT, Reason: reason, Detail: detail,
	}.Weighed())
	p.party.Link.Ended(reason, detail)
	p.party.Link.Flush()
}
