// Package relay is a flow between two peers: it puts the pure state machine of package
// flow to work, and holds what is under way. It knows neither who else there is nor how
// its handler is found: its Host does.
package relay

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Flow is one pairing of a client with a handler. It puts the pure state
// machine of package flow to work: takes its events, one at a time, and carries
// out the effects.
type Flow struct {
	host      *Host
	limits    *Limits          // those in force when the flow was opened
	id        transport.FlowID // set before the flow is shared
	opened    time.Time        // likewise
	direction zio.Direction
	offered   zio.Number
	client    *budget.Account // of whom the BOT came from

	mu       sync.Mutex
	bot      *zio.Message          // guarded by mu; the client's as it came, nil once ended
	botBytes int64                 // guarded by mu; of it, in the client's account
	state    flow.State            // guarded by mu
	peers    [2]*Party             // guarded by mu; nil once ended, handler's nil while pending
	infos    [2]transport.PeerInfo // guarded by mu
	label    []byte                // guarded by mu; the client's BOT's, nil once ended if too long to remember
	account  ledger.Ledger         // guarded by mu
	seen     progress              // guarded by mu; when a sign of life was last looked for
	life     time.Time             // guarded by mu; the last one, as far as was looked
	allowed  time.Duration         // guarded by mu; how long there may be none
	timer    *time.Timer           // guarded by mu
	deadline time.Time             // guarded by mu
	ended    time.Time             // guarded by mu; zero before
	late     flow.Error            // guarded by mu; what it means that no handler comes
	onEnd    []func(flow.Reason)   // guarded by mu; nil once ended
	entry    *routing.Entry        // guarded by mu; of the route table; nil if no route took it

	window      int64 // guarded by mu; DATs that the giver may send or the broker hold
	largest     int64 // guarded by mu; weight of a DAT seen
	constrained bool  // guarded by mu; the budget's sweeper looks after it

	unflushed [2]transport.Link // guarded by mu; links to flush when it is unlocked, by side

	sinks []Sink // guarded by mu; at most MaxSinks

	owing [2]*Party // guarded by mu; who has not answered the EOT of a flow that has ended

	request *routing.Request // guarded by mu; by which its factory knows it, nil once settled
}

// New is a flow of a client that has sent a BOT. It is told its number before it is shared
// (Begin).
func New(host *Host, limits *Limits, client *Party, m *zio.Message, bot zio.Bot) *Flow {
	f := &Flow{
		host:      host,
		client:    client.Bytes,
		limits:    limits,
		direction: bot.Direction,
		offered:   bot.Credit,
		bot:       m.WithLabel(append([]byte(nil), m.Label...)),
		state:     flow.Open(bot.Direction, m.Seqno),
		peers:     [2]*Party{flow.Client: client},
		infos:     [2]transport.PeerInfo{flow.Client: client.Info},
		late:      flow.Error{Reason: flow.Overloaded, Detail: "no route was found in time"},
	}
	f.label = f.bot.Label
	f.account.Receive(flow.Client, m.Size())
	f.request = host.Router.NewRequest(f, f.limits.HandlerWait)
	return f
}

// Begin gives the flow its number, before it is shared.
func (f *Flow) Begin(id transport.FlowID, now time.Time) { f.id, f.opened = id, now }

// ID is the flow's number.
func (f *Flow) ID() transport.FlowID { return f.id }

// Opened is when the flow was.
func (f *Flow) Opened() time.Time { return f.opened }

// GoDirectly has the flow go there instead of having a route looked for. It is called before
// the flow is shared.
func (f *Flow) GoDirectly(to routing.Direct) { f.request.Go(to) }

// Seek charges the client's BOT, sets the pending deadline and has a handler looked
// for, unless the match of the client's rights, which may be nil, does not take the flow.
func (f *Flow) Seek(right matching.Match) {
	f.mu.Lock()
	defer f.unlock()
	if f.state.Phase() != flow.Pending {
		return // stopped in the moment it was registered
	}
	f.botBytes = int64(f.bot.Size() + len(f.bot.Label))
	f.client.Add(f.botBytes)
	f.setDeadline(f.limits.PendingTimeout)
	request, deadline, view := f.request, f.deadline, f.view()
	f.publish()
	f.host.Go(func() { request.Seek(deadline, view, right) })
}

// Met tells of a flow whose handler is there already: Accept follows instead of Seek.
func (f *Flow) Met() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.publish()
}

// dropBot gives up the client's BOT but for its label and coord: with its offer settled
// nobody needs the rest. f.mu is held.
func (f *Flow) dropBot() {
	if f.botBytes > 0 {
		f.bot = &zio.Message{Level: f.bot.Level, Form: f.bot.Form, Label: f.bot.Label, Coord: f.bot.Coord}
		f.client.Release(f.botBytes)
		f.botBytes = 0
	}
}

// view is what a route's match sees of the flow.
func (f *Flow) view() *matching.View {
	return &matching.View{
		Label: f.bot.Label, Direction: f.direction.Reverse(), Credit: f.offered.Value,
		Coord: f.bot.Coord, Peer: f.infos[flow.Client],
	}
}

// route is the name of the route that the flow took, if any. f.mu is held.
func (f *Flow) route() string {
	if f.entry == nil {
		return ""
	}
	return f.entry.Name
}

// maxCredit is the limit of the flow's credit. f.mu is held.
func (f *Flow) maxCredit() int64 {
	if f.entry == nil {
		return f.limits.MaxCredit
	}
	return f.entry.Lower(f.limits.MaxCredit)
}

// PendingFor tells whether the flow waits for a handler on behalf of p.
func (f *Flow) PendingFor(p *Party) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Phase() == flow.Pending && f.peers[flow.Client] == p
}

// Over tells whether the flow has ended.
func (f *Flow) Over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Phase() == flow.Ended
}

// Accept makes p the handler, or ends the flow and says why not.
func (f *Flow) Accept(p *Party, m *zio.Message, bot zio.Bot) *flow.Error {
	f.mu.Lock()
	defer f.unlock()
	if f.state.Phase() != flow.Pending {
		return &flow.Error{Reason: flow.Rejected, Detail: "the client has left"}
	}
	fail := func(detail string) *flow.Error {
		f.apply(flow.Stopped(flow.ProtocolError, detail))
		return &flow.Error{Reason: flow.ProtocolError, Detail: detail}
	}
	credit, ok := flow.Agree(f.offered, bot.Credit, f.maxCredit())
	switch {
	case bot.Direction != f.direction.Reverse():
		return fail(fmt.Sprintf("the handler's direction is %v like the client's", bot.Direction))
	case !ok:
		return fail("neither side's BOT has a positive credit")
	}
	toHandler, err := zio.RewriteBot(m.Label, bot.Direction.Reverse(), credit.Total(), 0)
	if err != nil {
		return fail(err.Error())
	}
	toClient, err := zio.RewriteBot(m.Label, bot.Direction, credit.Total(), 0)
	if err != nil {
		return fail(err.Error())
	}
	f.peers[flow.Handler], f.infos[flow.Handler] = p, p.Info
	p.Join(f) // before anybody is told that it is the handler
	f.account.Receive(flow.Handler, m.Size())
	f.departure()
	f.applyBots(flow.Accepted(credit, m.Seqno), answers(m, toClient, toHandler, p.Bytes))
	f.window = f.state.Credit().Total()
	return nil
}

// Receive takes a message that is no BOT from a side. The size is what is counted,
// the weight what is reckoned with.
func (f *Flow) Receive(from flow.Side, head zio.Head, m *zio.Message, size, weight int) {
	f.mu.Lock()
	defer f.unlockBatched(f.peers[from])
	f.receive(from, head, m, size, weight)
}

// ReceiveNow is Receive for a message that the side's peer has sent before: it may be
// called by another goroutine than that which receives from the peer.
func (f *Flow) ReceiveNow(from flow.Side, head zio.Head, m *zio.Message, size, weight int) {
	f.mu.Lock()
	defer f.unlock()
	f.receive(from, head, m, size, weight)
}

// receive is Receive. f.mu is held.
func (f *Flow) receive(from flow.Side, head zio.Head, m *zio.Message, size, weight int) {
	before := f.state.Phase()
	var queued int64
	if head.Type == zio.PAY && before != flow.Pending {
		queued = f.constrain(from)
	}
	if before == flow.Ended {
		m.Release()
		f.receiveLate(from, head)
		return
	}
	next, fx := f.state.Step(flow.Received(from, head, m.Seqno, queued))
	f.state = next
	var failed [2]error
	if fx.Relay {
		failed[from.Other()] = f.relay(from.Other(), head, m, fx.Credit, size, weight)
	} else {
		m.Release()
	}
	f.count(from, head.Type, size, fx.Relay && failed[from.Other()] == nil)
	f.conclude(before, fx, failed)
	switch {
	case head.Type == zio.DAT && int64(weight) > f.largest:
		f.largest = int64(weight)
	case head.Type == zio.PAY && f.state.Credit().Withheld() > 0:
		f.watch()
	}
}

// constrain sets the window for a PAY by what there is room for, and returns how
// many DATs are queued for its sender, where that matters. f.mu is held.
func (f *Flow) constrain(taker flow.Side) (queued int64) {
	window := f.payWindow()
	if window != f.window {
		f.window = window
		f.state, _ = f.state.Step(flow.Window(window))
	}
	if window < f.state.Credit().Total() {
		queued, _ = f.queued(taker)
	}
	return queued
}

// relay passes a message on; a PAY with that credit, which may be less than its
// own.
func (f *Flow) relay(to flow.Side, head zio.Head, m *zio.Message, credit int64, size, weight int) error {
	d := transport.Delivery{Message: m, Type: head.Type, Flow: f.id, Credit: credit, Size: int64(size), Weight: int64(weight)}
	switch {
	case head.Type == zio.EOT:
		d.Reason = f.state.Reason()
	case head.Type == zio.PAY && credit != head.Credit.Value:
		label, err := zio.Supply(m.Label, zio.PAY, credit)
		if err != nil { // cannot be: Peek has read it
			label = m.Label
		}
		d.Message = m.WithLabel(label)
		d = d.Weighed()
		m.Release()
	}
	for _, s := range f.sinks {
		d.Message.Hold()
		s.Put(to.Other(), d)
	}
	return f.deliver(to, d)
}

// Step takes an event that is no message, or a BOT.
func (f *Flow) Step(e flow.Event) {
	f.mu.Lock()
	defer f.unlock()
	f.apply(e)
}

// Stop ends the flow.
func (f *Flow) Stop(reason flow.Reason, detail string) { f.Step(flow.Stopped(reason, detail)) }

// stopPending ends the flow unless a handler has come meanwhile.
func (f *Flow) stopPending(reason flow.Reason, detail string) {
	f.mu.Lock()
	defer f.unlock()
	if f.state.Phase() == flow.Pending {
		f.apply(flow.Stopped(reason, detail))
	}
}

// apply steps the state and carries out the effects. f.mu is held.
func (f *Flow) apply(e flow.Event) { f.applyBots(e, [2]*zio.Message{}) }

func (f *Flow) applyBots(e flow.Event, bots [2]*zio.Message) {
	before := f.state.Phase()
	var fx flow.Effects
	f.state, fx = f.state.Step(e)
	f.turn(0)
	var failed [2]error
	if fx.Bots {
		for _, side := range [...]flow.Side{flow.Handler, flow.Client} { // BRK-3
			failed[side] = f.deliver(side, transport.Delivery{
				Message: bots[side], Type: zio.BOT, Flow: f.id, Credit: f.state.Credit().Total(),
			}.Weighed())
		}
	}
	if fx.DeferredPay > 0 {
		failed[f.state.Giver()] = f.payDeferred(fx.DeferredPay, fx.DeferredSeqno)
	}
	f.conclude(before, fx, failed)
}

// conclude sends the broker's own EOTs, tends the deadlines and takes note of
// the peers that could not be reached.
func (f *Flow) conclude(before flow.Phase, fx flow.Effects, failed [2]error) {
	for side, eot := range fx.EOT {
		if eot.Send {
			if err := f.deliver(flow.Side(side), f.ownEOT(eot)); err != nil {
				failed[side] = err
			}
		}
	}
	for side, eot := range fx.Remind {
		f.remind(flow.Side(side), eot)
	}
	if f.state.Phase() != before {
		f.enter(before)
	}
	for side, err := range failed {
		switch {
		case err == nil:
		case errors.Is(err, transport.ErrOverrun):
			f.apply(flow.Stopped(flow.Overrun, fmt.Sprintf("the %v does not read what it asked for", flow.Side(side))))
		default:
			f.apply(flow.Left(flow.Side(side), err.Error()))
		}
	}
}

func (f *Flow) ownEOT(eot flow.OwnEOT) transport.Delivery {
	if eot.Plain {
		return transport.Delivery{
			Message: OwnMessage([]byte(`{"flow":"EOT"}`), eot.Seqno),
			Type:    zio.EOT, Flow: f.id, Reason: f.state.Reason(),
		}.Weighed()
	}
	reason, detail := f.state.Reason(), f.state.Detail()
	return transport.Delivery{
		Message: OwnMessage(zio.ErrorLabel(reason.String(), detail), eot.Seqno),
		Type:    zio.EOT, Flow: f.id, Reason: reason, Detail: detail,
	}.Weighed()
}

func (f *Flow) deliver(to flow.Side, d transport.Delivery) error {
	peer := f.peers[to]
	if peer == nil {
		d.Message.Release()
		return nil
	}
	err := peer.Link.Deliver(d)
	if err == nil {
		f.unflushed[to] = peer.Link
	}
	return err
}

// unlock unlocks the flow, and has the links write what they were delivered. No
// lock is held while they do.
func (f *Flow) unlock() {
	links := f.unflushed
	f.unflushed = [2]transport.Link{}
	f.mu.Unlock()
	for _, link := range links {
		if link != nil {
			link.Flush()
		}
	}
}

// unlockBatched is unlock for a message of a peer, which may want to flush later. If not,
// it delivers one message after the other: a transport.Gatherer is left to write what has come by
// then.
func (f *Flow) unlockBatched(p *Party) {
	if p == nil {
		f.unlock()
		return
	}
	links := f.unflushed
	f.unflushed = [2]transport.Link{}
	f.mu.Unlock()
	for _, link := range links {
		switch gatherer, ok := link.(transport.Gatherer); {
		case p.corked:
			p.flushLater(link)
		case ok:
			gatherer.FlushSoon()
		case link != nil:
			link.Flush()
		}
	}
}

var errAccepted = errors.New("a handler has come")

// enter does what a new phase asks for.
func (f *Flow) enter(before flow.Phase) {
	phase := f.state.Phase()
	if before == flow.Pending {
		f.host.Registry.Settled(f.infos[flow.Handler])
		cause := errAccepted
		if phase == flow.Ended {
			cause = &flow.Error{Reason: f.state.Reason(), Detail: f.state.Detail()}
		}
		f.dropBot()
		f.request.Settle(cause)
		f.request = nil
	}
	switch phase {
	case flow.Active:
		f.expectLife(f.limits.IdleTimeout)
		f.host.say(slog.LevelDebug, lineActive, f.infos[flow.Client], "flow active", "flow", f.id, "client", f.infos[flow.Client],
			"handler", f.infos[flow.Handler], "credit", f.state.Credit().Total())
	case flow.HalfClosed:
		f.expectLife(f.limits.EOTTimeout)
	case flow.Ended:
		f.finish()
	}
	f.publish()
	if phase == flow.Ended && len(f.label) > keepLabel {
		f.label = nil
	}
}

func (f *Flow) finish() {
	f.setDeadline(0)
	f.awaitAnswers()
	f.dropBot()
	f.account.Crossed = f.account.Data
	if f.state.Reason() != flow.Completed {
		f.account.Crossed = f.crossed() // what is queued now may be lost
	}
	f.ended = time.Now()
	_, since := f.account.HeldUpBy()
	f.host.Registry.Retired(f, f.state.Reason(), f.totals(since))
	for _, peer := range f.peers {
		if peer != nil {
			peer.Link.Ended(f.state.Reason(), f.state.Detail())
		}
	}
	f.peers = [2]*Party{}
	f.bot = nil
	if f.entry != nil {
		f.entry.End()
	}
	for _, done := range f.onEnd {
		done(f.state.Reason())
	}
	f.onEnd, f.sinks = nil, nil
	kind := lineEnded
	if f.state.Reason() != flow.Completed {
		kind = lineFailed
	}
	f.sayEnded(kind)
}

// End is Stop that returns how the flow is then, and whether it has ended by it.
func (f *Flow) End(reason flow.Reason, detail string) (info Info, ended bool) {
	f.mu.Lock()
	defer f.unlock()
	if f.state.Phase() == flow.Ended {
		return f.info(), false
	}
	f.apply(flow.Stopped(reason, detail))
	return f.info(), true
}

// Limits are those in force when the flow was opened; not to be changed.
func (f *Flow) Limits() *Limits { return f.limits }

// Peers are those who take part, by side. It is for a Registry, before the flow is shared, or in
// Retired: the flow is locked.
func (f *Flow) Peers() [2]transport.PeerInfo { return f.infos }
