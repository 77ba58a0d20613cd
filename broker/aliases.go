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
	// Link is transport.Link.
	Link = transport.Link
	// Gatherer is transport.Gatherer.
	Gatherer = transport.Gatherer
	// Mover is transport.Mover.
	Mover = transport.Mover
	// Disconnector is transport.Disconnector.
	Disconnector = transport.Disconnector
	// Describer is transport.Describer.
	Describer = transport.Describer
	// LinkInfo is transport.LinkInfo.
	LinkInfo = transport.LinkInfo
	// Departed is transport.Departed.
	Departed = transport.Departed
	// Delivery is transport.Delivery.
	Delivery = transport.Delivery
	// PeerInfo is transport.PeerInfo.
	PeerInfo = transport.PeerInfo
	// Outbox is transport.Outbox.
	Outbox = transport.Outbox
	// FlowID is transport.FlowID.
	FlowID = transport.FlowID
	// Count is transport.Count.
	Count = transport.Count

	// ByteAccount is budget.Account.
	ByteAccount = budget.Account

	// Flow is relay.Flow.
	Flow = relay.Flow
	// FlowInfo is relay.Info.
	FlowInfo = relay.Info

	// View is matching.View.
	View = matching.View
	// Match is matching.Match.
	Match = matching.Match
	// Explainer is matching.Explainer.
	Explainer = matching.Explainer

	// Grant is rights.Grant.
	Grant = rights.Grant
	// Rights is rights.Rights.
	Rights = rights.Rights
	// ListenerNames is rights.ListenerNames.
	ListenerNames = rights.ListenerNames
	// NameRight is rights.NameRight.
	NameRight = rights.NameRight

	// Route is routing.Route.
	Route = routing.Route
	// RouteInfo is routing.RouteInfo.
	RouteInfo = routing.RouteInfo
	// Origin is routing.Origin.
	Origin = routing.Origin
	// Factory is routing.Factory.
	Factory = routing.Factory
	// Request is routing.Request.
	Request = routing.Request
	// Offer is routing.Offer.
	Offer = routing.Offer

	// Listener is listeners.Listener.
	Listener = listeners.Listener
	// ListenerSpec is listeners.Spec.
	ListenerSpec = listeners.Spec
	// ListenerSink is listeners.Sink.
	ListenerSink = listeners.Sink
	// ListenerInfo is listeners.Info.
	ListenerInfo = listeners.Info
	// ToListeners is listeners.ToListeners.
	ToListeners = listeners.ToListeners

	// EndError is flow.Error.
	EndError = flow.Error
	// Denial is flow.Denial.
	Denial = flow.Denial

	// HeldUpBy is ledger.HeldUpBy.
	HeldUpBy = ledger.HeldUpBy
	// Waits is ledger.Waits.
	Waits = ledger.Waits
	// Traffic is ledger.Traffic.
	Traffic = ledger.Traffic
	// Sizes is ledger.Sizes.
	Sizes = ledger.Sizes
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

// Configured is routing.Configured.
const Configured = routing.Configured

// The errors of routes and offers.
var (
	ErrRouteExists    = routing.ErrRouteExists
	ErrNoRoute        = routing.ErrNoRoute
	ErrListenersRoute = routing.ErrListenersRoute
	ErrForeignOffer   = routing.ErrForeignOffer
)

// NewView is matching.NewView.
func NewView(bot *zio.Message, client PeerInfo) (*View, error) { return matching.NewView(bot, client) }

// DeniedCID is flow.DeniedCID.
const DeniedCID = flow.DeniedCID

// NoFree stands for a message that is let in only where there is room.
const NoFree = budget.NoFree
