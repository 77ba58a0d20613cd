package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// large opens n flows of clients with large labels, which wait for a handler.
func (f *front) large(t *testing.T, n int) {
	t.Helper()
	if _, err := f.broker.RemoveRoute("dump"); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		label := fmt.Sprintf(`{"flow":"BOT","direction":"extract","credit":2,"i":%d,"note":"%s"}`, i, strings.Repeat("x", 600_000))
		if i == n-1 {
			label = `{"flow":"BOT","direction":"extract","credit":2,"hist":[` + strings.Repeat("1,", 500_000) + `1]}`
		}
		f.broker.Attach(mute{}, transport.PeerInfo{Transport: "fake"}).Receive(&zio.Message{Label: []byte(label)})
	}
}

func waitingLong(o *broker.Options) { o.HandlerWait, o.PendingTimeout = time.Hour, time.Hour }

// TestLargeLabelsBlindNoOperator: whatever clients' labels are, an operator can list,
// get and watch flows within the 4 MiB that clients take by default.
func TestLargeLabelsBlindNoOperator(t *testing.T) {
	t.Parallel()
	f := start(t, waitingLong)
	watch := f.watch(t, &gatewayv1.WatchFlowsRequest{})
	f.large(t, 9)
	for i := range 9 {
		event, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if n := proto.Size(event); n > 32<<10 || event.GetFlow().GetId() != uint64(i+1) || event.GetFlow().GetLeftOut() == nil {
			t.Errorf("event %d is of flow %d, has %d bytes, left out %v", i, event.GetFlow().GetId(), n, event.GetFlow().GetLeftOut())
		}
	}
	response, err := f.admin.ListFlows(f.ctx, &gatewayv1.ListFlowsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(response.GetFlows()); n != 9 {
		t.Errorf("%d flows are listed", n)
	}
	one, err := f.admin.ListFlows(f.ctx, &gatewayv1.ListFlowsRequest{Filter: "attributes.i == 3"})
	if err != nil || len(one.GetFlows()) != 1 || one.GetFlows()[0].GetId() != 4 {
		t.Errorf("the flow with i = 3: %.200v, %v", one, err)
	}
	got, err := f.admin.GetFlow(f.ctx, &gatewayv1.GetFlowRequest{Id: 9})
	if err != nil || len(got.GetFlow().GetLeftOut().GetAttributes()) != 1 || got.GetFlow().GetLeftOut().GetAttributes()[0].GetName() != "hist" {
		t.Errorf("the ninth flow: %.200v, %v", got, err)
	}
}

// TestPagesAreBoundedByBytes: flows that are shown with all that a list shows of them
// do not add up to more than a page has.
func TestPagesAreBoundedByBytes(t *testing.T) {
	t.Parallel()
	f := start(t, waitingLong)
	if _, err := f.broker.RemoveRoute("dump"); err != nil {
		t.Fatal(err)
	}
	var long strings.Builder
	for i := range 8 {
		fmt.Fprintf(&long, `,"k%d":"%s"`, i, strings.Repeat("x", 1900))
	}
	const flows = 150
	for range flows {
		f.broker.Attach(mute{}, transport.PeerInfo{Transport: "fake", Identity: strings.Repeat("i", 255)}).
			Receive(&zio.Message{Label: []byte(`{"flow":"BOT","direction":"extract","credit":2` + long.String() + `}`)})
	}
	request := &gatewayv1.ListFlowsRequest{PageSize: 1000}
	seen, pages := map[uint64]bool{}, 0
	for more := true; more; pages++ {
		response, err := f.admin.ListFlows(f.ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		if n := proto.Size(response); n > 1<<20 {
			t.Errorf("a page has %d bytes", n)
		}
		for _, flow := range response.GetFlows() {
			if seen[flow.GetId()] || len(flow.GetAttributes().GetFields()) != 8 {
				t.Errorf("flow %d has %d attributes, was seen before: %v", flow.GetId(), len(flow.GetAttributes().GetFields()), seen[flow.GetId()])
			}
			seen[flow.GetId()] = true
		}
		request.PageToken = response.GetNextPageToken()
		more = request.GetPageToken() != ""
	}
	if len(seen) != flows || pages < 3 {
		t.Errorf("%d flows on %d pages", len(seen), pages)
	}
}

// TestListenersAndRoutesArePaged: by bytes, and where it is asked for by number.
func TestListenersAndRoutesArePaged(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	match := "attributes.x == '" + strings.Repeat("x", 4000) + "'"
	const many = 300
	for i := range many {
		stream, err := f.handlers.Listen(f.ctx, &gatewayv1.ListenRequest{Name: fmt.Sprintf("l%d", i), Match: match})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	request, seen, pages := &gatewayv1.ListListenersRequest{}, 0, 0
	for more := true; more; pages++ {
		response, err := f.admin.ListListeners(f.ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range response.GetListeners() {
			if seen++; l.GetId() != uint64(seen) {
				t.Fatalf("listener %d follows %d others", l.GetId(), seen-1)
			}
		}
		if n := proto.Size(response); n > 1<<20 {
			t.Errorf("a page has %d bytes", n)
		}
		request.PageToken = response.GetNextPageToken()
		more = request.GetPageToken() != ""
	}
	if seen != many || pages != 2 {
		t.Errorf("%d listeners on %d pages", seen, pages)
	}
	routes, seen := &gatewayv1.ListRoutesRequest{PageSize: 100}, 0
	for more := true; more; {
		response, err := f.admin.ListRoutes(f.ctx, routes)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(response.GetRoutes()); n > 100 || proto.Size(response) > 1<<20 {
			t.Errorf("a page has %d routes, %d bytes", n, proto.Size(response))
		}
		seen += len(response.GetRoutes())
		routes.PageToken = response.GetNextPageToken()
		more = routes.GetPageToken() != ""
	}
	if seen != many+2 { // and the default ones
		t.Errorf("%d routes", seen)
	}
	if _, err := f.admin.ListRoutes(f.ctx, &gatewayv1.ListRoutesRequest{PageToken: request.GetPageToken() + "x"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a page token of nobody's: %v", err)
	}
}

// TestALargeBOTEndsNoListener: its offer is made smaller, and the listener, with the
// 4 MiB that clients take by default, goes on.
func TestALargeBOTEndsNoListener(t *testing.T) {
	t.Parallel()
	f := start(t, waitingLong)
	stream, err := f.handlers.Listen(f.ctx, &gatewayv1.ListenRequest{Name: "store"})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || m.GetListening() == nil {
		t.Fatalf("%v, %v", m, err)
	}
	for _, m := range []*zio.Message{
		{Label: []byte(`{"flow":"BOT","direction":"extract","credit":2}`), Payload: [][]byte{make([]byte, 5_000_000)}},
		{Label: []byte(`{"flow":"BOT","direction":"extract","credit":2,"list":[` + strings.Repeat("1,", 345_000) + `1]}`)},
		{Label: []byte(`{"flow":"BOT","direction":"extract","credit":2,"run":1}`)},
	} {
		f.broker.Attach(mute{}, transport.PeerInfo{Transport: "fake"}).Receive(m)
		offer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if n := proto.Size(offer); n > 2<<20 {
			t.Errorf("an offer has %d bytes", n)
		}
	}
	tiny, err := f.handlers.Listen(f.ctx, &gatewayv1.ListenRequest{Name: "tiny", MaxOfferBytes: 100})
	if err == nil {
		_, err = tiny.Recv()
	}
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "max_offer_bytes") {
		t.Errorf("offers of 100 bytes: %v", err)
	}
}

// TestTheHandlerIsNamed: clients are told who has taken their flow; its handler is
// not told of itself.
func TestTheHandlerIsNamed(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	put, err := f.flows.Put(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*gatewayv1.PutRequest{
		{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{}}},
		{Message: &gatewayv1.PutRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{{1}}}}},
	} {
		if err := put.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	response, err := put.CloseAndRecv()
	want := &gatewayv1.TakenBy{Route: "dump", Transport: "builtin", Identity: "dump"}
	if err != nil || !proto.Equal(response.GetTakenBy(), want) || !proto.Equal(response.GetBot().GetTakenBy(), want) {
		t.Errorf("Put answered %v, %v", response, err)
	}
	get, err := f.flows.Get(f.ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Label: `{"count":1}`}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := get.Recv()
	if by := first.GetBot().GetTakenBy(); err != nil || by.GetRoute() != "generate" || by.GetIdentity() != "generate" {
		t.Errorf("Get answered %v, %v", first, err)
	}
	listener, err := f.handlers.Listen(f.ctx, &gatewayv1.ListenRequest{Name: "store"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listener.Recv(); err != nil {
		t.Fatal(err)
	}
	client := f.open(t, giving(1))
	offer, err := listener.Recv()
	if err != nil {
		t.Fatal(err)
	}
	handler := f.open(t, bot(&gatewayv1.Bot{
		Cid: offer.GetOffer().GetCid(), Direction: gatewayv1.Direction_DIRECTION_INJECT, Credit: 1,
	}))
	toClient, err := client.Recv()
	if by := toClient.GetBot().GetTakenBy(); err != nil || by.GetRoute() != "store" || by.GetTransport() != "grpc" {
		t.Errorf("the client was answered %v, %v", toClient, err)
	}
	toHandler, err := handler.Recv()
	if err != nil || toHandler.GetBot() == nil || toHandler.GetBot().GetTakenBy() != nil {
		t.Errorf("the handler was answered %v, %v", toHandler, err)
	}
}

// TestJsonnetEndsWithItsCaller: an operator's deadline ends what AddRoute evaluates.
func TestJsonnetEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	o := startOperated(t, false)
	endless := `local f(x) = if std.foldl(function(a, b) a + b, std.range(1, 100000), 0) < 0 then 1 else f(x) tailstrict; [{rule: 'true', attr: {a: f(1)}}]`
	request := &gatewayv1.AddRouteRequest{Route: route(`name: "r" builtin { name: "dump" }`)}
	request.Route.Rules = endless
	ctx, cancel := context.WithTimeout(o.ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := o.admin.AddRoute(ctx, request); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("with a deadline: %v", err)
	}
	// The next one has its turn, so the process is gone.
	request.Route.Rules = `[{rule: 'true'}]`
	if _, err := o.admin.AddRoute(o.ctx, request); err != nil {
		t.Error(err)
	}
	request.Route.Name, request.Route.Rules = "s", endless
	if _, err := o.admin.AddRoute(o.ctx, request); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "route.rules: takes more than") {
		t.Errorf("without a deadline: %v", err)
	}
}
