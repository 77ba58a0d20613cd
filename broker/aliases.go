package broker

import (
	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Transports and fronts find what they need of the rooms below under the name of the broker
// that they speak with.

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

	Flow     = relay.Flow
	FlowInfo = relay.Info

	View      = matching.View
	Match     = matching.Match
	Explainer = matching.Explainer

	Grant         = rights.Grant
	Rights        = rights.Rights
	ListenerNames = rights.ListenerNames
	NameRight     = rights.NameRight

	Route     = routing.Route
	RouteInfo = routing.RouteInfo
	Origin    = routing.Origin
	Factory   = routing.Factory
	Request   = routing.Request
	Offer     = routing.Offer
	Verdict   = routing.Verdict

	Listener     = listeners.Listener
	ListenerSpec = listeners.Spec
	ListenerSink = listeners.Sink
	ListenerInfo = listeners.Info
	ToListeners  = listeners.ToListeners

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

// The rights to a name.
const (
	NameUnlessHeld = rights.NameUnlessHeld
	NameAllowed    = rights.NameAllowed
	NameRefused    = rights.NameRefused
)

// The origins of routes.
const (
	Configured = routing.Configured
	Added      = routing.Added
	Announced  = routing.FromListeners
	Default    = routing.Default
	Named      = routing.Named
)

// The errors of routes and offers.
var (
	ErrRouteExists    = routing.ErrRouteExists
	ErrNoRoute        = routing.ErrNoRoute
	ErrListenersRoute = routing.ErrListenersRoute
	ErrNoOffer        = routing.ErrNoOffer
	ErrForeignOffer   = routing.ErrForeignOffer
)

// NewView is matching.NewView.
func NewView(bot *zio.Message, client PeerInfo) (*View, error) { return matching.NewView(bot, client) }

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
