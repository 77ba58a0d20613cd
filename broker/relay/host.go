package relay

import (
	"context"
	"log/slog"
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
	// Settled tells that one waits for a handler no more.
	Settled()
	// Retired tells that one has ended, and what it adds to the sums.
	Retired(*Flow, Totals)
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
