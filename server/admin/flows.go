package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// ListFlows shows the flows that are selected, in the order that is asked for.
func (s *Service) ListFlows(ctx context.Context, request *gatewayv1.ListFlowsRequest) (*gatewayv1.ListFlowsResponse, error) {
	if request.GetOrderBy() != "" {
		return s.listOrdered(ctx, request)
	}
	selected, err := newSelection(request.GetStates(), request.GetFilter())
	if err != nil {
		return nil, err
	}
	p, err := newPage(request, fmt.Sprint(request.GetStates(), request.GetFilter()))
	if err != nil {
		return nil, err
	}
	response := &gatewayv1.ListFlowsResponse{}
	now := time.Now()
	for f := range s.broker.FlowsBefore(transport.FlowID(p.before)) {
		if err := ctx.Err(); err != nil {
			return nil, status.FromContextError(err).Err()
		}
		info := f.Info()
		taken := selected.takes(&info, now)
		if err := selected.tooCostly(s.filterCost); err != nil {
			return nil, err
		}
		if !taken {
			continue
		}
		flow := toFlow(&info, listedAttributes)
		if !p.takes(flow) {
			response.NextPageToken = p.next()
			break
		}
		response.Flows = append(response.Flows, flow)
		p.before = uint64(info.ID)
	}
	return response, nil
}

// GetFlow shows one flow.
func (s *Service) GetFlow(_ context.Context, request *gatewayv1.GetFlowRequest) (*gatewayv1.GetFlowResponse, error) {
	f := s.broker.Flow(transport.FlowID(request.GetId()))
	if f == nil {
		return nil, noFlow(request.GetId())
	}
	info := f.Info()
	return &gatewayv1.GetFlowResponse{Flow: s.single(&info)}, nil
}

// EndFlow ends a flow.
func (s *Service) EndFlow(ctx context.Context, request *gatewayv1.EndFlowRequest) (*gatewayv1.EndFlowResponse, error) {
	detail := request.GetDetail()
	if detail == "" {
		detail = "an operator ended the flow"
	}
	s.tellAsked(ctx, "end flow", slog.Uint64("flow", request.GetId()))
	info, err := s.broker.EndFlow(transport.FlowID(request.GetId()), detail)
	switch {
	case errors.Is(err, broker.ErrNoFlow):
		return nil, noFlow(request.GetId())
	case err != nil:
		return nil, notNow("FLOW_ENDED", "flow "+number(request.GetId()), fmt.Errorf("%w already: %v", err, info.Reason))
	}
	return &gatewayv1.EndFlowResponse{Flow: s.single(&info)}, nil
}

// single is one flow as operators see it.
func (s *Service) single(info *relay.Info) *gatewayv1.Flow {
	flow := toFlow(info, singleAttributes)
	flow.Node = s.ownName()
	return flow
}

func number(id uint64) string { return strconv.FormatUint(id, 10) }

// noFlow is NOT_FOUND.
func noFlow(id uint64) error {
	return notFound("flow", id, fmt.Sprintf("there is no flow %d, or it is remembered no more", id))
}

// notFound is NOT_FOUND for something with a number.
func notFound(kind string, id uint64, text string) error {
	return contract.WithDetails(status.New(codes.NotFound, text), &errdetails.ResourceInfo{
		ResourceType: kind, ResourceName: number(id), Description: text,
	})
}
