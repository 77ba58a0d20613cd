package admin

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/relay"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// selection is which flows somebody wants to see. Its methods are called by one
// goroutine at a time.
type selection struct {
	states map[gatewayv1.FlowState]bool // empty for all
	filter *match.Filter                // nil for all

	evaluated int    // how many flows the filter was asked about
	cost      uint64 // what that has cost
}

func newSelection(states []gatewayv1.FlowState, filter string) (*selection, error) {
	s := &selection{states: make(map[gatewayv1.FlowState]bool, len(states))}
	for _, state := range states {
		s.states[state] = true
	}
	if filter != "" {
		compiled, err := match.CompileFilter(filter)
		if err != nil {
			return nil, contract.BadField("filter", "%v", err)
		}
		s.filter = compiled
	}
	return s, nil
}

// takesFlow is takes for a flow in that phase; it is looked at whole only if it has to be.
func (s *selection) takesFlow(f *relay.Flow, phase flow.Phase, now time.Time) bool {
	if s.filter == nil || !s.takesPhase(phase) {
		return s.takesPhase(phase)
	}
	info := f.Info()
	return s.takes(&info, now)
}

func (s *selection) takesPhase(phase flow.Phase) bool {
	return len(s.states) == 0 || s.states[stateOf(phase)]
}

func (s *selection) takes(info *relay.Info, now time.Time) bool {
	switch {
	case !s.takesPhase(info.Phase):
		return false
	case s.filter == nil:
		return true
	}
	matched, cost := s.filter.Match(info, now)
	s.evaluated++
	s.cost += cost
	return matched
}

// tooCostly is RESOURCE_EXHAUSTED once the filter has cost more than that.
func (s *selection) tooCostly(most uint64) error {
	if s.cost <= most {
		return nil
	}
	problem := fmt.Sprintf("costs too much: %d units for the first %d flows, and a call may cost %d in all; "+
		"name states, which costs nothing, or ask for less of a flow", s.cost, s.evaluated, most)
	return contract.WithDetails(status.New(codes.ResourceExhausted, "filter: "+problem), &errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "filter", Description: problem}},
	})
}
