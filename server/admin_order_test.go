package server_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestListingInOrder: pages of an order are those flows that all in that order are, and say how
// many there are before them and in all.
func TestListingInOrder(t *testing.T) {
	const n = 50
	f := start(t, nil)
	_, handlers := f.crowd(t, n)
	for order, first := range map[string]uint64{"opened": 1, "id": 1, " id  desc ": n, "opened desc": n} {
		for _, size := range []int32{1, 7, 50, 1000} {
			r, seen := &gatewayv1.ListFlowsRequest{OrderBy: order, PageSize: size, Filter: "attributes.even"}, []uint64(nil)
			for {
				page, err := f.admin.ListFlows(f.ctx, r)
				if err != nil {
					t.Fatal(err)
				}
				if page.GetTotalSize() != n/2 || page.GetPrecedingSize() != uint64(len(seen)) {
					t.Errorf("%s by %d: there are %d, before these %d of %d", order, size, page.GetTotalSize(), page.GetPrecedingSize(), len(seen))
				}
				for _, flow := range page.GetFlows() {
					seen = append(seen, flow.GetId())
				}
				if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
					break
				}
			}
			if first == n {
				slices.Reverse(seen)
			}
			slices.Reverse(seen)
			wantDown(t, seen, n-1, 1, 2)
		}
	}
	fast := func(order string) []*gatewayv1.Flow {
		page, err := f.admin.ListFlows(f.ctx, &gatewayv1.ListFlowsRequest{OrderBy: order, PageSize: 10})
		if err != nil {
			t.Fatal(err)
		}
		return page.GetFlows()
	}
	say(handlers[20], `{"flow":"PAY","credit":5}`, 0)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) { // its share falls
		flows := fast("waits.taker_share")
		if flows[0].GetId() == 21 && flows[0].GetWaits().GetTakerShare() < 1 && flows[9].GetId() == 9 && flows[9].GetWaits().GetTakerShare() == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("first comes %v", flows[0])
		}
	}
}

// TestListingByRate: the fastest flow comes first, and what is shown falls from one to the next.
func TestListingByRate(t *testing.T) {
	f := start(t, nil)
	clients, handlers := f.crowd(t, 20)
	for deadline := time.Now().Add(30 * time.Second); ; { // on a slow machine what moved may be forgotten
		say(handlers[4], `{"flow":"PAY","credit":2}`, 0)
		say(handlers[9], `{"flow":"PAY","credit":1}`, 0)
		say(clients[4], `{"flow":"DAT"}`, 10)
		say(clients[4], `{"flow":"DAT"}`, 10)
		say(clients[9], `{"flow":"DAT"}`, 100_000)
		var first []uint64
		for _, order := range []string{"messages_per_second desc", "bytes_per_second desc", "messages_per_second"} {
			page, err := f.admin.ListFlows(f.ctx, &gatewayv1.ListFlowsRequest{OrderBy: order, PageSize: 20})
			if err != nil || len(page.GetFlows()) != 20 {
				t.Fatalf("%d flows, %v", len(page.GetFlows()), err)
			}
			first = append(first, page.GetFlows()[0].GetId())
			rate := (*gatewayv1.Flow).GetMessagesPerSecond
			if order == "bytes_per_second desc" {
				rate = (*gatewayv1.Flow).GetBytesPerSecond
			}
			for i, flow := range page.GetFlows()[1:] {
				if before := rate(page.GetFlows()[i]); order != "messages_per_second" && rate(flow) > before || order == "messages_per_second" && rate(flow) < before {
					t.Errorf("%s: %v comes behind %v", order, rate(flow), before)
				}
			}
		}
		if slices.Equal(first, []uint64{5, 10, 1}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("first come %v", first)
		}
	}
}

func TestOrderIsRefused(t *testing.T) {
	f := start(t, nil)
	f.crowd(t, 3)
	page, err := f.admin.ListFlows(f.ctx, &gatewayv1.ListFlowsRequest{PageSize: 1, OrderBy: "id"})
	if err != nil || page.GetNextPageToken() == "" {
		t.Fatalf("%v, %v", page, err)
	}
	plain, err := f.admin.ListFlows(f.ctx, &gatewayv1.ListFlowsRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	for words, r := range map[string]*gatewayv1.ListFlowsRequest{
		`order_by: is "colour", want one of id, opened, messages_per_second`: {OrderBy: "colour"},
		`order_by: is "id asc", want`:                                        {OrderBy: "id asc"},
		`order_by: is "id, opened", want`:                                    {OrderBy: "id, opened"},
		"page_token: is none":                                                {OrderBy: "id", PageToken: "?"},
		"page_token: is none that":                                           {OrderBy: "id", PageToken: plain.GetNextPageToken()},
		"page_token: belongs to a listing":                                   {OrderBy: "id desc", PageToken: page.GetNextPageToken()},
		"page_token: is none that was":                                       {PageToken: page.GetNextPageToken()},
		"filter: 1:1: undeclared":                                            {OrderBy: "id", Filter: "colour == 1"},
	} {
		_, err := f.admin.ListFlows(f.ctx, r)
		wantStatus[*errdetails.BadRequest](t, err, codes.InvalidArgument, words)
	}
	_, err = f.admin.GetStatus(f.ctx, &gatewayv1.GetStatusRequest{AllNodes: true, Node: "a"})
	wantStatus[*errdetails.BadRequest](t, err, codes.InvalidArgument, "all_nodes: goes not together with node")
	if s, err := f.admin.GetStatus(f.ctx, &gatewayv1.GetStatusRequest{AllNodes: true}); err != nil || s.GetActiveFlows() != 3 || len(s.GetNodeStatuses()) != 0 {
		t.Errorf("all nodes without a cluster: %v, %v", s, err)
	}
}
