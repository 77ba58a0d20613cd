package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/zre/nodes"
)

func startWithNodes(t *testing.T) (*front, *nodes.Table) {
	t.Helper()
	table := nodes.NewTable()
	return startWith(t, nil, func(o *server.Options) { o.Nodes = table }), table
}

// TestListNodes shows each with its ports apart from other headers.
func TestListNodes(t *testing.T) {
	f, table := startWithNodes(t)
	info := nodes.Info{
		Name: "detector", Endpoint: "tcp://10.1.2.3:49152", Local: true, UUID: [16]byte{0xab},
		Headers: map[string]string{
			"zio.port.flow.address": "tcp://10.1.2.3:5555", "zio.port.flow.socket": "SERVER", "room": "12",
		},
	}
	first := table.Put(info)
	table.Put(nodes.Info{Name: "other"})
	want := &gatewayv1.Node{
		Id: 1, Name: "detector", Uuid: "ab" + strings.Repeat("0", 30), Endpoint: "tcp://10.1.2.3:49152", Local: true,
		Headers: map[string]string{"room": "12"},
		Ports:   []*gatewayv1.NodePort{{Name: "flow", Address: "tcp://10.1.2.3:5555", Socket: "SERVER"}},
	}
	for name, ids := range map[string]string{"": "1 2", "detector": "1", "nobody": ""} {
		r, err := f.admin.ListNodes(f.ctx, &gatewayv1.ListNodesRequest{Name: name})
		var got []string
		for _, n := range r.GetNodes() {
			got = append(got, fmt.Sprint(n.GetId()))
		}
		if err != nil || strings.Join(got, " ") != ids {
			t.Fatalf("%q: %v, %v", name, r, err)
		}
		if name != "detector" {
			continue
		}
		n := r.GetNodes()[0]
		if n.GetEntered().AsTime().IsZero() || !proto.Equal(n.GetEntered(), n.GetChanged()) {
			t.Errorf("entered %v, changed %v", n.GetEntered(), n.GetChanged())
		}
		if n.Entered, n.Changed = nil, nil; !proto.Equal(n, want) {
			t.Errorf("listed %v, want %v", n, want)
		}
	}
	if len(first.Headers) != 3 {
		t.Errorf("the table's headers are %v", first.Headers)
	}
	if s, err := f.admin.GetStatus(f.ctx, &gatewayv1.GetStatusRequest{}); err != nil || s.GetNodes() != 2 {
		t.Errorf("status %v, %v", s, err)
	}
}

// TestListNodesByPages: a page has what was asked for, and less than a mebibyte.
func TestListNodesByPages(t *testing.T) {
	f, table := startWithNodes(t)
	for i := range 90 {
		table.Put(nodes.Info{Name: fmt.Sprint(i % 2), Headers: map[string]string{"large": strings.Repeat("x", 30<<10)}})
	}
	for _, c := range []struct {
		name        string
		size        int32
		nodes, most int
	}{{"", 0, 90, 40}, {"", 7, 90, 7}, {"1", 0, 45, 40}} {
		request, seen := &gatewayv1.ListNodesRequest{Name: c.name, PageSize: c.size}, 0
		for last := uint64(0); ; {
			r, err := f.admin.ListNodes(f.ctx, request)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.GetNodes()) > c.most || proto.Size(r) > 1<<20 {
				t.Errorf("a page has %d nodes, %d bytes", len(r.GetNodes()), proto.Size(r))
			}
			for _, n := range r.GetNodes() {
				if n.GetId() <= last {
					t.Errorf("%d comes after %d", n.GetId(), last)
				}
				last = n.GetId()
			}
			seen += len(r.GetNodes())
			if request.PageToken = r.GetNextPageToken(); request.PageToken == "" {
				break
			}
		}
		if seen != c.nodes {
			t.Errorf("%+v: seen %d", c, seen)
		}
	}
	_, err := f.admin.ListNodes(f.ctx, &gatewayv1.ListNodesRequest{PageToken: "nonsense"})
	wantStatus[*errdetails.BadRequest](t, err, codes.InvalidArgument, "page_token")
	_, err = f.admin.ListNodes(f.ctx, &gatewayv1.ListNodesRequest{Name: strings.Repeat("n", 256)})
	wantStatus[*errdetails.BadRequest](t, err, codes.InvalidArgument, "name")
}

// TestWatchNodes tells what becomes of nodes, of those of a name if that is asked for.
func TestWatchNodes(t *testing.T) {
	f, table := startWithNodes(t)
	watch := func(name string) gatewayv1.AdminService_WatchNodesClient {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		t.Cleanup(cancel)
		w, err := f.admin.WatchNodes(ctx, &gatewayv1.WatchNodesRequest{Name: name})
		if err == nil {
			_, err = w.Header()
		}
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	all, some := watch(""), watch("a")
	n := table.Put(nodes.Info{Name: "a"})
	table.Put(nodes.Info{Name: "b"})
	renamed := *n
	renamed.Name = "c"
	table.Put(renamed)
	table.Remove(n.ID, "expired")
	want := func(w gatewayv1.AdminService_WatchNodesClient, events ...string) {
		t.Helper()
		for _, want := range events {
			e, err := w.Recv()
			got := fmt.Sprintln(e.GetEvent(), e.GetNode().GetId(), e.GetNode().GetName(), e.GetReason())
			if err != nil || strings.TrimSpace(got) != want || e.GetTime() == nil || e.GetMissed() != 0 {
				t.Errorf("told %s (%v, %v), want %s", got, e, err, want)
			}
		}
	}
	want(all, "NODE_EVENT_ENTERED 1 a", "NODE_EVENT_ENTERED 2 b", "NODE_EVENT_CHANGED 1 c", "NODE_EVENT_LEFT 1 c expired")
	want(some, "NODE_EVENT_ENTERED 1 a", "NODE_EVENT_CHANGED 1 c")
}

// TestStoppedNodeWatcher: who reads again is told how much it has missed, whether or
// not anything happens after that.
func TestStoppedNodeWatcher(t *testing.T) {
	const n = 5000
	f, table := startWithNodes(t)
	w, err := f.admin.WatchNodes(f.ctx, &gatewayv1.WatchNodesRequest{})
	if err == nil {
		_, err = w.Header()
	}
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		table.Put(nodes.Info{Headers: map[string]string{"large": strings.Repeat("x", 10<<10)}})
	}
	for seen := uint64(1); ; seen++ { // after n events comes none that could tell of others
		e, err := w.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if missed := e.GetMissed(); missed > 0 {
			if e.GetNode() != nil || e.GetTime() == nil || seen-1+missed != n {
				t.Errorf("%d seen, then %v; want the number of all others", seen-1, e)
			}
			return
		}
		if e.GetNode().GetId() != seen {
			t.Errorf("node %d, want %d", e.GetNode().GetId(), seen)
		}
	}
}
