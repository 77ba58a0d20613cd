package relay

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/logs"
)

// Host is what the flows of a broker share. Its fields are set before the first flow.
type Host struct {
	Registry Registry
	Router   *routing.Router
	Budget   *budget.Budget
	Sweeper  Sweeper
	Clock    ledger.Clock
	Log      *slog.Logger
	Lines    *logs.Sampler // what peers can have logged
	// Go runs what may take long.
	Go func(func())
}

// Registry knows the flows that there are. Its methods are called with a flow locked, but
// for Denied, and neither block nor call back.
type Registry interface {
	// Live is how many there are.
	Live() int64
	// Settled tells that one waits for a handler no more, and who that is: nobody if it has
	// ended without.
	Settled(handler transport.PeerInfo)
	// Retired tells that one has ended, why, and what it adds to the sums.
	Retired(*Flow, flow.Reason, Totals)
	// Watched tells whether anybody wants to be told of phases, Publish tells of one.
	Watched() bool
	Publish(*Info)
	// Denied tells that a peer was not allowed something.
	Denied(transport.PeerInfo, flow.Denial)
}

// Limits are those of one flow. Their fields are explained where they are set.
type Limits struct {
	MaxCredit      int64
	MaxMessage     int
	MaxFlowBytes   int64
	PendingTimeout time.Duration
	HandlerWait    time.Duration
	EOTTimeout     time.Duration
	IdleTimeout    time.Duration
}

// Kinds of lines that flows cause, as the log is sampled: flows that end well take
// nothing from the lines of those that do not.
const (
	lineActive = "flow_active"
	lineEnded  = "flow_ended"
	lineFailed = "flow_failed"
)

// say logs something that the peer has caused, unless it has caused too much.
func (h *Host) say(level slog.Level, kind string, peer transport.PeerInfo, message string, arguments ...any) {
	h.Lines.Log(context.Background(), level, kind, peer.Who(), message, arguments...)
}

// publish tells those who watch of a flow's phase. f.mu is held.
func (f *Flow) publish() {
	if f.host.Registry.Watched() {
		info := f.info()
		f.host.Registry.Publish(&info)
	}
}

// OwnMessage is a message that the broker makes.
func OwnMessage(label []byte, seqno uint64) *zio.Message {
	return &zio.Message{
		Form: zio.FormFlow, Label: label,
		Coord: zio.Coord{Granule: uint64(time.Now().UnixMicro()), Seqno: seqno},
	}
}

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

// Sink is shown what crosses a flow, besides the side that it is for.
type Sink interface {
	// Put hands over a message of that side, which the sink releases, at once where it has
	// no room. It is called with the flow locked, in the order in which the messages
	// cross, and so neither blocks nor calls back. While a sink holds a message its bytes
	// stay in the account of the peer that they came from: a sink that holds many slows
	// that peer.
	Put(from flow.Side, d transport.Delivery)
}

// MaxSinks bounds the sinks of one flow.
const MaxSinks = 4

// Errors of AddSink.
var (
	// ErrTooManySinks: the flow has MaxSinks.
	ErrTooManySinks = errors.New("the flow is watched by as many as may watch it")
	// ErrOver: the flow has ended.
	ErrOver = errors.New("the flow has ended")
)

// AddSink has a sink be shown what crosses from now on, BOTs and the EOTs of the gateway's
// own excepted, until the flow ends. The error is ErrTooManySinks or ErrOver.
func (f *Flow) AddSink(s Sink) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.state.Phase() == flow.Ended:
		return ErrOver
	case len(f.sinks) >= MaxSinks:
		return ErrTooManySinks
	}
	f.sinks = append(f.sinks, s)
	return nil
}

// RemoveSink shows a sink nothing more; when it has returned, Put will not be called again.
func (f *Flow) RemoveSink(s Sink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, other := range f.sinks {
		if other == s {
			f.sinks = append(f.sinks[:i:i], f.sinks[i+1:]...)
			return
		}
	}
}
