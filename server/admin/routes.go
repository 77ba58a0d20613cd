package admin

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zioflow/gateway/broker/match/jsonnet"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// ListListeners shows the listeners.
func (s *Service) ListListeners(_ context.Context, request *gatewayv1.ListListenersRequest) (*gatewayv1.ListListenersResponse, error) {
	name := ""
	p, err := newUpwardPage(request, "listeners "+request.GetNode())
	if err != nil {
		return nil, err
	}
	cluster := s.process.Status().Cluster
	response, own := &gatewayv1.ListListenersResponse{Unreachable: behind(cluster)}, s.ownName()
	if request.GetNode() != "" {
		found, err := named(s.cluster(), request.GetNode())
		if err != nil {
			return nil, err
		}
		name = found[0].name
	}
	for _, l := range s.broker.Listeners() {
		at := cmp.Or(l.Peer.Node, own)
		if l.ID <= p.before || name != "" && at != name {
			continue
		}
		listener := &gatewayv1.Listener{
			Id: l.ID, Name: l.Name, Match: l.Match,
			MaxFlows: uint32(min(l.MaxFlows, math.MaxUint32)), Flows: uint32(l.Flows),
			Peer: contract.ToPeer(l.Peer), Registered: timestamppb.New(l.Registered), Node: at,
		}
		if !p.takes(listener) {
			response.NextPageToken = p.next()
			break
		}
		response.Listeners = append(response.Listeners, listener)
		p.before = l.ID
	}
	return response, nil
}

// ListRoutes shows the routes in the order in which they are tried.
func (s *Service) ListRoutes(_ context.Context, request *gatewayv1.ListRoutesRequest) (*gatewayv1.ListRoutesResponse, error) {
	p, err := newUpwardPage(request, "routes")
	if err != nil {
		return nil, err
	}
	response := &gatewayv1.ListRoutesResponse{}
	routes := s.broker.Routes()
	for _, r := range routes[min(p.before, uint64(len(routes))):] {
		route := s.toRouteStatus(r)
		if !p.takes(route) {
			response.NextPageToken = p.next()
			break
		}
		response.Routes = append(response.Routes, route)
		p.before++
	}
	return response, nil
}

// AddRoute adds a route. Who has done so is logged.
func (s *Service) AddRoute(ctx context.Context, request *gatewayv1.AddRouteRequest) (*gatewayv1.AddRouteResponse, error) {
	spec, err := contract.ToSpec(request.GetRoute())
	if err != nil {
		return nil, err
	}
	if s.routes.Maker.Kinds.RunsCommands(spec.Factory) && !s.routes.AllowExec {
		return nil, contract.WithDetails(
			status.New(codes.FailedPrecondition, "routes that start commands can't be added to this gateway: "+
				"it was started without --allow-exec-routes"),
			&errdetails.ErrorInfo{Domain: contract.ErrorDomain, Reason: "EXEC_ROUTES_NOT_ALLOWED"})
	}
	made, err := s.routes.Maker.Make(ctx, spec)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case errors.Is(err, jsonnet.ErrCannotStart):
		return nil, status.Error(codes.Unavailable, err.Error())
	default:
		if field, ok := errors.AsType[*routes.FieldError](err); ok {
			return nil, contract.BadField("route."+field.Field, "%v", field.Err)
		}
		return nil, contract.BadField("route", "%v", err)
	}
	added, err := s.broker.AddRoute(made)
	if err != nil {
		return nil, routeError(err, spec.Name)
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "route added", slog.String("route", spec.Name), slog.Int("priority", int(spec.Priority)), slog.Any("by", s.caller(ctx)))
	return &gatewayv1.AddRouteResponse{Route: s.toRouteStatus(added)}, nil
}

// RemoveRoute removes a route. Who has done so is logged.
func (s *Service) RemoveRoute(ctx context.Context, request *gatewayv1.RemoveRouteRequest) (*gatewayv1.RemoveRouteResponse, error) {
	removed, err := s.broker.RemoveRoute(request.GetName())
	if err != nil {
		return nil, routeError(err, request.GetName())
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "route removed", slog.String("route", request.GetName()), slog.String("origin", removed.Origin.String()), slog.Any("by", s.caller(ctx)))
	return &gatewayv1.RemoveRouteResponse{Route: s.toRouteStatus(removed)}, nil
}

// TestRoute explains which route a BOT would take.
func (s *Service) TestRoute(ctx context.Context, request *gatewayv1.TestRouteRequest) (*gatewayv1.TestRouteResponse, error) {
	view, err := toView(request)
	if err != nil {
		return nil, err
	}
	verdicts, err := s.broker.Explain(ctx, view)
	if err != nil {
		return nil, status.FromContextError(err).Err()
	}
	response, p := &gatewayv1.TestRouteResponse{}, &page{size: math.MaxInt}
	for _, v := range verdicts {
		verdict := &gatewayv1.RouteVerdict{
			Route: v.Route, Origin: toOrigin(v.Origin), Node: s.nodeOf(v.Node, v.Origin), Matches: v.Matches, Takes: v.Takes,
			Explanation: contract.CutText(v.Explanation, maxExplanation),
		}
		if v.Takes {
			response.Route, response.Node = v.Route, verdict.Node
		}
		if p.takes(verdict) {
			response.Verdicts = append(response.Verdicts, verdict)
		}
	}
	return response, nil
}

// maxExplanation is how much of what a route says of a BOT is told, and of what the
// listeners of a name match together, in bytes.
const maxExplanation = 8 << 10

// toView is what routes would see of a BOT. Its label is made as in Open.
func toView(request *gatewayv1.TestRouteRequest) (*matching.View, error) {
	bot := request.GetBot()
	if bot == nil {
		return nil, contract.BadField("bot", "is missing")
	}
	label, err := contract.BotLabel(bot, zio.NoDirection)
	if err != nil {
		if field, ok := errors.AsType[*contract.FieldError](err); ok {
			return nil, contract.BadField("bot."+field.Field, "%s", field.Problem)
		}
		return nil, err
	}
	if parsed, err := zio.ParseBot(label); err == nil && parsed.CID.Form != zio.Absent {
		return nil, contract.BadField("bot.cid", "must not be set: a BOT with a cid accepts an offer and takes no route")
	}
	message := &zio.Message{Label: label, Coord: zio.Coord{
		Origin: bot.GetOrigin(), Granule: bot.GetGranule(), Seqno: bot.GetSeqno(),
	}}
	peer := request.GetPeer()
	view, err := matching.NewView(message, transport.PeerInfo{
		Transport: peer.GetTransport(), Address: peer.GetAddress(), Identity: peer.GetIdentity(), Name: peer.GetName(),
	})
	if err != nil {
		return nil, contract.BadField("bot", "%v", err)
	}
	return view, nil
}

// routeErrors is how each error of the route table is told.
var routeErrors = []struct {
	err    error
	code   codes.Code
	reason string
}{
	{routing.ErrRouteExists, codes.AlreadyExists, "ROUTE_EXISTS"},
	{routing.ErrNoRoute, codes.NotFound, "NO_ROUTE"},
	{routing.ErrListenersRoute, codes.FailedPrecondition, "LISTENERS_ROUTE"},
	{routing.ErrFarRoute, codes.FailedPrecondition, "FAR_ROUTE"},
}

func routeError(err error, name string) error {
	for _, row := range routeErrors {
		if errors.Is(err, row.err) {
			return contract.WithDetails(status.New(row.code, err.Error()),
				&errdetails.ErrorInfo{Domain: contract.ErrorDomain, Reason: row.reason},
				&errdetails.ResourceInfo{ResourceType: "route", ResourceName: name, Description: row.err.Error()})
		}
	}
	return contract.BadField("route", "%v", err)
}

// toOrigin translates by the contract's order, which is the broker's.
func toOrigin(o routing.Origin) gatewayv1.RouteOrigin { return gatewayv1.RouteOrigin(o) }

// maxShownRules is how much of a ruleset's text is shown, in bytes.
const maxShownRules = 64 << 10

func (s *Service) toRouteStatus(r routing.RouteInfo) *gatewayv1.RouteStatus {
	spec := s.routes.Maker.SpecOf(r.Route)
	var cut uint64
	if n := len(spec.Rules); n > maxShownRules {
		spec.Rules, cut = contract.CutText(spec.Rules, maxShownRules), uint64(n)
	}
	spec.Match = contract.CutText(spec.Match, maxExplanation)
	return &gatewayv1.RouteStatus{
		Route: contract.ToRoute(spec), Origin: toOrigin(r.Origin), Taken: r.Taken, Flows: r.Flows, CutRulesBytes: cut,
		Node: s.nodeOf(r.Node, r.Origin),
	}
}

// nodeOf is the node whose route it is: of its own, the gateway's; of listeners' nobody's, as they
// may be at several.
func (s *Service) nodeOf(far string, origin routing.Origin) string {
	if origin == routing.FromListeners {
		return ""
	}
	return cmp.Or(far, s.ownName())
}

// ListRoutes shows the routes in the order in which a node tries them.
func (v *View) ListRoutes(ctx context.Context, request *gatewayv1.ListRoutesRequest) (*gatewayv1.ListRoutesResponse, error) {
	return single(ctx, v, request.GetNode(), request, v.Service.ListRoutes, gatewayv1.AdminServiceClient.ListRoutes)
}

// AddRoute adds a route. To evaluate a ruleset may take a node longer than to answer.
func (v *View) AddRoute(ctx context.Context, request *gatewayv1.AddRouteRequest) (*gatewayv1.AddRouteResponse, error) {
	limit := patience
	if request.GetRoute().GetRules() != "" {
		limit += jsonnet.MaxWait
	}
	return within(ctx, v, limit, request.GetNode(), request, v.Service.AddRoute, gatewayv1.AdminServiceClient.AddRoute)
}

// RemoveRoute removes a route.
func (v *View) RemoveRoute(ctx context.Context, request *gatewayv1.RemoveRouteRequest) (*gatewayv1.RemoveRouteResponse, error) {
	return single(ctx, v, request.GetNode(), request, v.Service.RemoveRoute, gatewayv1.AdminServiceClient.RemoveRoute)
}

// TestRoute explains which route a BOT would take.
func (v *View) TestRoute(ctx context.Context, request *gatewayv1.TestRouteRequest) (*gatewayv1.TestRouteResponse, error) {
	return single(ctx, v, request.GetNode(), request, v.Service.TestRoute, gatewayv1.AdminServiceClient.TestRoute)
}
