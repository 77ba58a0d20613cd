package broker

import (
	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// What transports and fronts need of the rooms below, under the name of the broker that
// they speak with.
type (
	Link         = transport.Link
	Gatherer     = transport.Gatherer
	Mover        = transport.Mover
	Disconnector = transport.Disconnector
	Describer    = transport.Describer
	LinkInfo     = transport.LinkInfo
	Departed     = transport.Departed
	Delivery     = transport.Delivery
	PeerInfo     = transport.PeerInfo
	Outbox       = transport.Outbox
	FlowID       = transport.FlowID
	Count        = transport.Count

	ByteAccount = budget.Account

	EndError = flow.Error
	Denial   = flow.Denial

	HeldUpBy = ledger.HeldUpBy
	Waits    = ledger.Waits
	Traffic  = ledger.Traffic
	Sizes    = ledger.Sizes
)

// The errors of Link.Deliver.
var (
	ErrGone    = transport.ErrGone
	ErrOverrun = transport.ErrOverrun
)

// NewOutbox makes an Outbox that holds limit messages at the most.
func NewOutbox(limit int) *Outbox { return transport.NewOutbox(limit) }

// Fits is transport.Fits.
func Fits(n, limit int, t zio.Type) bool { return transport.Fits(n, limit, t) }

// SizeBounds are the upper bounds of Sizes, in bytes.
var SizeBounds = ledger.SizeBounds

// Whom a flow may wait for.
const (
	ByNobody  = ledger.ByNobody
	ByGiver   = ledger.ByGiver
	ByTaker   = ledger.ByTaker
	ByGateway = ledger.ByGateway
)

// The denials.
const (
	DeniedRole       = flow.DeniedRole
	DeniedDirection  = flow.DeniedDirection
	DeniedAttributes = flow.DeniedAttributes
	DeniedFlows      = flow.DeniedFlows
	DeniedCID        = flow.DeniedCID
	DeniedName       = flow.DeniedName
)

// NoFree stands for a message that is let in only where there is room.
const NoFree = budget.NoFree
