package server_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// mute is a peer to which everything may be sent.
type mute struct{}

func (mute) Deliver(d transport.Delivery) error { d.Message.Release(); return nil }
func (mute) Ended(flow.Reason, string)          {}
func (mute) Flush()                             {}
func (mute) Queued() (messages, bytes int64)    { return 0, 0 }

type cids chan uint64

func (k cids) Offer(o routing.Offer) error { k <- o.CID; return nil }
func (cids) Withdraw(uint64, flow.Reason)  {}

func say(p *broker.Peer, label string, size int) {
	p.Receive(&zio.Message{Form: zio.FormFlow, Label: []byte(label), Payload: [][]byte{make([]byte, size)}})
}

// crowd makes n active flows, of attributes n = 0 to n-1; the client gives.
func (f *front) crowd(t *testing.T, n int) (clients, handlers []*broker.Peer) {
	t.Helper()
	offered := make(cids, 1)
	l, err := f.broker.Listen(listeners.Spec{Name: "crowd", Sink: offered})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range n {
		client := f.broker.Attach(mute{}, transport.PeerInfo{Transport: "zmq-server", Identity: fmt.Sprint("c", i)})
		handler := f.broker.Attach(mute{}, transport.PeerInfo{Transport: "zmq-router", Identity: fmt.Sprint("h", i)})
		client.Pauses()
		say(client, fmt.Sprintf(`{"flow":"BOT","direction":"extract","credit":5,"n":%d,"even":%t}`, i, i%2 == 0), 0)
		say(handler, fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":5,"cid":%d}`, <-offered), 0)
		clients, handlers = append(clients, client), append(handlers, handler)
	}
	return clients, handlers
}

// list goes through all pages, of which none but the last may be short.
func (f *front) list(t *testing.T, r *gatewayv1.ListFlowsRequest, between func()) (ids []uint64) {
	t.Helper()
	for {
		page, err := f.admin.ListFlows(f.ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, flow := range page.GetFlows() {
			ids = append(ids, flow.GetId())
		}
		if page.GetNextPageToken() == "" {
			return ids
		}
		if len(page.GetFlows()) != int(r.GetPageSize()) {
			t.Fatalf("a page of %d flows, want %d", len(page.GetFlows()), r.GetPageSize())
		}
		r.PageToken = page.GetNextPageToken()
		if between != nil {
			between()
		}
	}
}

// wantDown checks that the ids go from high to low in steps.
func wantDown(t *testing.T, ids []uint64, from, to, step uint64) {
	t.Helper()
	if len(ids) != int((from-to)/step)+1 {
		t.Fatalf("%d flows, want %d", len(ids), (from-to)/step+1)
	}
	for i, id := range ids {
		if id != from-uint64(i)*step {
			t.Fatalf("at %d there is flow %d, want %d", i, id, from-uint64(i)*step)
		}
	}
}

func TestListingTenThousandFlows(t *testing.T) {
	const n = 10_000
	f := start(t, nil)
	clients, handlers := f.crowd(t, n)
	active := []gatewayv1.FlowState{gatewayv1.FlowState_FLOW_STATE_ACTIVE}
	ended := []gatewayv1.FlowState{gatewayv1.FlowState_FLOW_STATE_ENDED}

	wantDown(t, f.list(t, &gatewayv1.ListFlowsRequest{PageSize: 1000, States: active}, nil), n, 1, 1)
	wantDown(t, f.list(t, &gatewayv1.ListFlowsRequest{PageSize: 999, Filter: "attributes.even"}, nil), n-1, 1, 2)
	wantDown(t, f.list(t, &gatewayv1.ListFlowsRequest{PageSize: 10, Filter: "attributes.n < 25"}, nil), 25, 1, 1)

	// Flows come and end between the pages: those that were there are on one page
	// each.
	i := 0
	wantDown(t, f.list(t, &gatewayv1.ListFlowsRequest{PageSize: 500}, func() {
		f.crowd(t, 1)
		clients[i].Leave("done")
		clients[n-1-i].Leave("done")
		i++
	}), n, 1, 1)
	if got := f.list(t, &gatewayv1.ListFlowsRequest{States: ended, PageSize: 1000}, nil); len(got) != 2*i {
		t.Errorf("%d flows have ended, want %d", len(got), 2*i)
	}

	say(handlers[100], `{"flow":"PAY","credit":3}`, 0)
	say(clients[100], `{"flow":"DAT"}`, 1000)
	say(clients[100], `{"flow":"DAT"}`, 1000)
	for filter, want := range map[string]int{
		`id == 101`: 1,
		`messages == 2 && bytes == 2000 && held_up_by == "giver"`:                     1,
		`client.identity == "c7" && handler.identity == "h7"`:                         1,
		`client.transport == "zmq-server" && attributes.n == 3`:                       1,
		`reason == "peer_gone" && state == "ended"`:                                   2 * i,
		`state == "active" && reason != ""`:                                           0,
		`direction == "extract" && credit == 5 && id <= 10 && client.transport != ""`: 10,
		`attributes.missing == 1 || id == 1`:                                          1,
		`!(attributes.missing == 1)`:                                                  0,
		`age < duration("10m") && id < 3`:                                             2,
		`age > duration("10m")`:                                                       0,
		`client.name != "" || handler.address != "" || route == "another"`:            0,
	} {
		if got := f.list(t, &gatewayv1.ListFlowsRequest{Filter: filter, PageSize: 1000}, nil); len(got) != want {
			t.Errorf("%s: %d flows, want %d", filter, len(got), want)
		}
	}
}

func TestListFlowsRefuses(t *testing.T) {
	f := start(t, nil)
	f.crowd(t, 3)
	page, err := f.admin.ListFlows(f.ctx, &gatewayv1.ListFlowsRequest{PageSize: 1})
	if err != nil || page.GetNextPageToken() == "" {
		t.Fatalf("%v, %v", page, err)
	}
	for words, r := range map[string]*gatewayv1.ListFlowsRequest{
		"filter: 1:1: undeclared reference to 'colour'": {Filter: "colour == 1"},
		"filter: 1:8: Syntax error":                     {Filter: "id == ("},
		"filter: is of type int, want bool":             {Filter: "id + 1"},
		"page_token: is none":                           {PageToken: "?"},
		"page_token: belongs to a listing":              {PageToken: page.GetNextPageToken(), Filter: "id > 0"},
		"page_size: must be":                            {PageSize: 100_000},
		"states[1]: value must be":                      {States: []gatewayv1.FlowState{2, 77}},
	} {
		_, err := f.admin.ListFlows(f.ctx, r)
		wantStatus[*errdetails.BadRequest](t, err, codes.InvalidArgument, words)
	}
}

func TestGetFlow(t *testing.T) {
	f := start(t, nil)
	clients, handlers := f.crowd(t, 1)
	say(handlers[0], `{"flow":"PAY","credit":4}`, 0)
	say(clients[0], `{"flow":"DAT"}`, 10)
	get := func() *gatewayv1.Flow {
		t.Helper()
		r, err := f.admin.GetFlow(f.ctx, &gatewayv1.GetFlowRequest{Id: 1})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetFlow()
	}
	got := get()
	if got.GetState() != gatewayv1.FlowState_FLOW_STATE_ACTIVE || got.GetReason() != 0 || got.GetCredit() != 5 ||
		got.GetDirection() != gatewayv1.Direction_DIRECTION_EXTRACT || got.GetClient().GetIdentity() != "c0" || got.GetHandler().GetIdentity() != "h0" ||
		got.GetEnded() != nil || got.GetDeadline() != nil || time.Since(got.GetOpened().AsTime()).Abs() > time.Minute {
		t.Errorf("an active flow: %v", got)
	}
	if a := got.GetAttributes().AsMap(); len(a) != 2 || a["n"] != 0. || a["even"] != true {
		t.Errorf("attributes %v", a)
	}
	if c := got.GetCreditState(); c.GetHeldByGiver() != 3 || c.GetOutstanding() != 2 || c.GetWithheld() != 0 {
		t.Errorf("credit %v", c)
	}
	if c, h := got.GetFromClient(), got.GetFromHandler(); c.GetMessages() != 2 || c.GetDats() != 1 || c.GetBytes() != 10 || h.GetMessages() != 2 || h.GetDats() != 0 {
		t.Errorf("from client %v, from handler %v", c, h)
	}
	if w := got.GetWaits(); got.GetHeldUpBy() != gatewayv1.HeldUpBy_HELD_UP_BY_GIVER || w.GetGiverShare()+w.GetTakerShare() < 0.99 ||
		got.GetMessagesPerSecond() != 1 || got.GetBytesPerSecond() != 10 || got.GetLastDat() == nil || got.GetLastPay() == nil {
		t.Errorf("pace of %v", got)
	}
	say(clients[0], `{"flow":"EOT"}`, 0)
	if got := get(); got.GetState() != gatewayv1.FlowState_FLOW_STATE_HALF_CLOSED || got.GetDeadline() == nil || got.GetCreditState() == nil {
		t.Errorf("a half-closed flow: %v", got)
	}
	say(handlers[0], `{"flow":"EOT"}`, 0)
	if got := get(); got.GetState() != gatewayv1.FlowState_FLOW_STATE_ENDED || got.GetReason() != gatewayv1.EndReason_END_REASON_COMPLETED ||
		got.GetEnded() == nil || got.GetDeadline() != nil || got.GetCreditState() != nil || got.GetHeldUpBy() != 0 || got.GetAttributes() == nil {
		t.Errorf("an ended flow: %v", got)
	}
	_, err := f.admin.GetFlow(f.ctx, &gatewayv1.GetFlowRequest{Id: 2})
	wantStatus[*errdetails.ResourceInfo](t, err, codes.NotFound, "flow 2")
}

func TestPendingFlowIsShown(t *testing.T) {
	f := start(t, nil)
	l, err := f.broker.Listen(listeners.Spec{Name: "slow", Sink: make(cids, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := f.broker.Attach(mute{}, transport.PeerInfo{Transport: "grpc"})
	say(client, `{"flow":"BOT","direction":"inject","credit":7}`, 0)
	r, err := f.admin.GetFlow(f.ctx, &gatewayv1.GetFlowRequest{Id: 1})
	if got := r.GetFlow(); err != nil || got.GetState() != gatewayv1.FlowState_FLOW_STATE_PENDING || got.GetHandler() != nil ||
		got.GetCredit() != 7 || got.GetDeadline() == nil || got.GetWaits() != nil || got.GetCreditState() != nil {
		t.Errorf("a pending flow: %v, %v", got, err)
	}
	client.Leave("gone")
}

func TestEndFlow(t *testing.T) {
	f := start(t, nil)
	stream := f.open(t, giving(1))
	awaitCredit(t, stream)
	r, err := f.admin.EndFlow(f.ctx, &gatewayv1.EndFlowRequest{Id: 1, Detail: "beam off"})
	if got := r.GetFlow(); err != nil || got.GetReason() != gatewayv1.EndReason_END_REASON_ENDED_BY_ADMIN || got.GetDetail() != "beam off" {
		t.Errorf("EndFlow: %v, %v", got, err)
	}
	if got := transcript(stream); got != "EOT:ENDED_BY_ADMIN Aborted" {
		t.Errorf("the client: %s", got)
	}
	_, err = f.admin.EndFlow(f.ctx, &gatewayv1.EndFlowRequest{Id: 1})
	wantStatus[*errdetails.PreconditionFailure](t, err, codes.FailedPrecondition, "ended_by_admin")
	_, err = f.admin.EndFlow(f.ctx, &gatewayv1.EndFlowRequest{Id: 9})
	wantStatus[*errdetails.ResourceInfo](t, err, codes.NotFound, "flow 9")
}
