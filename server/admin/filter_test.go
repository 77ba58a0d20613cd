package admin

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// ignoring is a listener that accepts nothing.
type ignoring struct{}

func (ignoring) Offer(routing.Offer) error    { return nil }
func (ignoring) Withdraw(uint64, flow.Reason) {}

// manyFlows is an admin service of a broker in which so many flows, with such
// attributes, wait to be accepted.
func manyFlows(t testing.TB, n int, attributes string) *Service {
	t.Helper()
	options := broker.DefaultOptions()
	options.PendingTimeout = time.Hour
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(flow.Draining, "the test is over") })
	if _, err := b.Listen(listeners.Spec{Name: "ignoring", Sink: ignoring{}}); err != nil {
		t.Fatal(err)
	}
	for range n {
		p := b.Attach(transport.NewOutbox(10), transport.PeerInfo{Transport: "test"})
		p.Receive(&zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"BOT","direction":"extract","credit":5` + attributes + `}`)})
		t.Cleanup(func() { p.Leave("done") })
	}
	return New(context.Background(), b, Options{Log: slog.New(slog.DiscardHandler)})
}

// TestFilterCostIsBounded: what a filter costs is bounded over all flows of a call, and
// who asks too much is told what to do.
func TestFilterCostIsBounded(t *testing.T) {
	t.Parallel()
	const flows = 50
	s := manyFlows(t, flows, `,"list":[`+strings.Repeat("1,", 30)+`1]`)
	if s.filterCost != listingCost {
		t.Errorf("a call may cost %d, want %d", s.filterCost, listingCost)
	}
	const walks = `attributes.list.all(a, attributes.list.all(b, a == b))`
	ask := func(most uint64, r *gatewayv1.ListFlowsRequest) (int, error) {
		s.filterCost = most
		page, err := s.ListFlows(t.Context(), r)
		return len(page.GetFlows()), err
	}
	if n, err := ask(listingCost, &gatewayv1.ListFlowsRequest{Filter: walks}); n != flows || err != nil {
		t.Fatalf("%d flows, %v, want %d", n, err, flows)
	}
	const some = 31 * 31 * 4 * flows / 2 // what half of them cost, at least
	for name, filter := range map[string]string{
		"none is selected":                      "!" + walks,
		"all are selected":                      walks,
		"one costs more than an evaluation may": strings.Repeat("attributes.list.all(a, ", 4) + "a == 1" + strings.Repeat(")", 4),
	} {
		n, err := ask(some, &gatewayv1.ListFlowsRequest{Filter: filter})
		s := status.Convert(err)
		if n != 0 || s.Code() != codes.ResourceExhausted || !strings.Contains(s.Message(), fmt.Sprintf("a call may cost %d in all", some)) ||
			len(s.Message()) > 400 {
			t.Errorf("%s: %d flows, %v", name, n, err)
		}
		if len(s.Details()) != 1 {
			t.Errorf("%s: details %v", name, s.Details())
		} else if d, is := s.Details()[0].(*errdetails.BadRequest); !is || d.GetFieldViolations()[0].GetField() != "filter" {
			t.Errorf("%s: details %v", name, s.Details())
		}
	}
	if n, err := ask(some, &gatewayv1.ListFlowsRequest{Filter: walks, PageSize: 5}); n != 5 || err != nil {
		t.Errorf("a smaller page: %d flows, %v, want 5", n, err)
	}
	active := []gatewayv1.FlowState{gatewayv1.FlowState_FLOW_STATE_ACTIVE}
	if n, err := ask(some, &gatewayv1.ListFlowsRequest{Filter: walks, States: active}); n != 0 || err != nil {
		t.Errorf("those in another state: %d flows, %v, want none", n, err)
	}
}

// TestReadingAttributesCosts: labels are read at a cost, once for each flow, and only
// where a filter asks for them.
func TestReadingAttributesCosts(t *testing.T) {
	t.Parallel()
	const flows, length = 10, 100_000
	s := manyFlows(t, flows, `,"list":[`+strings.Repeat("1,", length/2)+`1]`)
	cost := func(filter string) uint64 {
		t.Helper()
		selected, err := newSelection(nil, filter)
		if err != nil {
			t.Fatal(err)
		}
		for f := range s.broker.FlowsBefore(broker.Latest) {
			info := f.Info()
			selected.takes(&info, info.Opened)
		}
		if selected.evaluated != flows {
			t.Errorf("%d flows were looked at, want %d", selected.evaluated, flows)
		}
		return selected.cost / flows
	}
	without, once := cost(`id > 0`), cost(`attributes.credit == 5`)
	often := cost(strings.Repeat(`attributes.credit == 4 || `, 50) + `attributes.credit == 5`)
	if without > 100 || once < 32<<10 || once > 50_000 || often > once+1000 {
		t.Errorf("without attributes %d, with one %d, with one asked for often %d", without, once, often)
	}
}
