package cluster_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func (n *node) admin() gatewayv1.AdminServiceClient { return gatewayv1.NewAdminServiceClient(n.conn) }

// flows are the node's, page by page, as "node/id", and the nodes that have not answered.
func (n *node) flows(ask *gatewayv1.ListFlowsRequest) (flows, silent []string) {
	n.t.Helper()
	for pages := 0; ; pages++ {
		r, err := n.admin().ListFlows(n.t.Context(), ask)
		if err != nil {
			n.t.Fatal(err)
		}
		for _, f := range r.GetFlows() {
			flows = append(flows, fmt.Sprintf("%s/%d", f.GetNode(), f.GetId()))
		}
		for _, u := range r.GetUnreachable() {
			silent = append(silent, u.GetNode()+": "+u.GetReason())
		}
		if ask.PageToken = r.GetNextPageToken(); ask.PageToken == "" || pages > 20 {
			return flows, silent
		}
	}
}

// TestOneView: at any node operators see what all have, and steer one by its name.
func TestOneView(t *testing.T) {
	t.Parallel()
	a, b, c, _ := trio(t, &gatewayv1.ListenRequest{Name: "raw"})
	at := map[*node][]*stream{}
	for n, flows := range map[*node]int{a: 2, b: 0, c: 3} {
		for range flows {
			s := n.open(&gatewayv1.Bot{Direction: inject, Credit: 1, Label: `{"flow":"BOT","builtin":"generate","count":2}`})
			s.next()
			at[n] = append(at[n], s)
		}
	}
	all := []string{"a/2", "a/1", "c/3", "c/2", "c/1"}
	for size := range int32(7) {
		if got := b.allFlows(&gatewayv1.ListFlowsRequest{PageSize: size}); !slices.Equal(got, all) {
			t.Errorf("by pages of %d the flows are %v, want %v", size, got, all)
		}
	}
	t.Run("in one order", func(t *testing.T) { oneOrder(t, b) })
	if got := b.allFlows(&gatewayv1.ListFlowsRequest{Node: "c", PageSize: 2, Filter: "id > 1"}); !slices.Equal(got, all[2:4]) {
		t.Errorf("the flows of c are %v", got)
	}
	var peers *gatewayv1.ListPeersResponse
	until(t, "all nodes answer", func() bool {
		var err error
		peers, err = b.admin().ListPeers(t.Context(), &gatewayv1.ListPeersRequest{Transport: "grpc"})
		return err == nil && len(peers.GetUnreachable()) == 0
	})
	where := ""
	for _, p := range peers.GetPeers() {
		where += p.GetNode()
	}
	if where != "aaccc" {
		t.Errorf("the peers are at %s", where)
	}
	listeners, err := a.admin().ListListeners(t.Context(), &gatewayv1.ListListenersRequest{Node: "b"})
	if err != nil || len(listeners.GetListeners()) != 1 || listeners.GetListeners()[0].GetNode() != "b" {
		t.Errorf("the listeners of b are %v, %v", listeners, err)
	}
	if r, err := a.admin().ListListeners(t.Context(), &gatewayv1.ListListenersRequest{Node: "c"}); err != nil || len(r.GetListeners()) != 0 {
		t.Errorf("the listeners of c are %v, %v", r, err)
	}

	t.Run("one flow", func(t *testing.T) {
		got, err := b.admin().GetFlow(t.Context(), &gatewayv1.GetFlowRequest{Id: 3, Node: "c"})
		if err != nil || got.GetFlow().GetNode() != "c" || got.GetFlow().GetId() != 3 {
			t.Errorf("got %v, %v", got, err)
		}
		if _, err := b.admin().GetFlow(t.Context(), &gatewayv1.GetFlowRequest{Id: 3}); status.Code(err) != codes.NotFound {
			t.Errorf("there is a flow at b: %v", err)
		}
		if _, err := b.admin().EndFlow(t.Context(), &gatewayv1.EndFlowRequest{Id: 3, Node: "c", Detail: "enough"}); err != nil {
			t.Error(err)
		}
		if reason, detail := at[c][2].ends(); reason != gatewayv1.EndReason_END_REASON_ENDED_BY_ADMIN || detail != "enough" {
			t.Errorf("the flow ended with %v %q", reason, detail)
		}
		if _, err := b.admin().EndFlow(t.Context(), &gatewayv1.EndFlowRequest{Id: 3, Node: "c"}); status.Code(err) != codes.FailedPrecondition || len(status.Convert(err).Details()) == 0 {
			t.Errorf("ended again: %v", err)
		}
	})
	t.Run("disconnect", func(t *testing.T) {
		peer := peers.GetPeers()[len(peers.GetPeers())-1] // of c's first flow
		got, err := b.admin().DisconnectPeer(t.Context(), &gatewayv1.DisconnectPeerRequest{PeerId: peer.GetId(), Node: "c", Detail: "away"})
		if err != nil || got.GetPeer().GetNode() != "c" {
			t.Errorf("got %v, %v", got, err)
		}
		if _, detail := at[c][0].ends(); detail != "away" {
			t.Errorf("the flow ended with %q", detail)
		}
		until(t, "the log of c says who has done that", func() bool {
			return strings.Contains(c.log.String(), "peer disconnected") && strings.Contains(c.log.String(), "127.0.0.1")
		})
	})
	t.Run("drain", func(t *testing.T) {
		if r, err := a.admin().Drain(t.Context(), &gatewayv1.DrainRequest{Node: "c"}); err != nil || r.GetNode() != "c" || r.GetFlows() != 1 {
			t.Errorf("got %v, %v", r, err)
		}
		s, err := a.admin().GetStatus(t.Context(), &gatewayv1.GetStatusRequest{Node: "c"})
		if own, _ := a.admin().GetStatus(t.Context(), &gatewayv1.GetStatusRequest{}); err != nil || !s.GetDraining() || own.GetDraining() {
			t.Errorf("c: %v, %v; a: %v", s, err, own)
		}
		if _, err := a.admin().Undrain(t.Context(), &gatewayv1.UndrainRequest{Node: "c"}); err != nil {
			t.Error(err)
		}
	})
	t.Run("log level and configuration", func(t *testing.T) {
		r, err := a.admin().SetLogLevel(t.Context(), &gatewayv1.SetLogLevelRequest{Node: "c", Level: "debug"})
		if err != nil || r.GetPrevious() != "info" || r.GetNode() != "c" {
			t.Errorf("got %v, %v", r, err)
		}
		own, _ := a.admin().GetStatus(t.Context(), &gatewayv1.GetStatusRequest{})
		if s, err := a.admin().GetStatus(t.Context(), &gatewayv1.GetStatusRequest{Node: "c"}); err != nil || s.GetLogLevel() != "debug" || own.GetLogLevel() != "info" {
			t.Errorf("c logs from %s on, a from %s, %v", s.GetLogLevel(), own.GetLogLevel(), err)
		}
		if r, err := a.admin().Reload(t.Context(), &gatewayv1.ReloadRequest{Node: "c"}); err != nil || r.GetNode() != "c" {
			t.Errorf("reloaded: %v, %v", r, err)
		}
		if s, err := a.admin().GetStatus(t.Context(), &gatewayv1.GetStatusRequest{Node: "c"}); err != nil || s.GetLogLevel() != "info" {
			t.Errorf("reloaded, c logs from %s on, %v", s.GetLogLevel(), err)
		}
		until(t, "the log of c says who has asked", func() bool {
			return strings.Contains(c.log.String(), `msg="asked by another node" for="log level" by=`) && strings.Contains(c.log.String(), "msg=\"asked by another node\" for=reload")
		})
	})
	t.Run("no such node", func(t *testing.T) {
		if _, err := a.admin().Drain(t.Context(), &gatewayv1.DrainRequest{Node: "d"}); status.Code(err) != codes.NotFound {
			t.Error(err)
		}
		if _, err := a.admin().ListFlows(t.Context(), &gatewayv1.ListFlowsRequest{Node: "d"}); status.Code(err) != codes.NotFound {
			t.Error(err)
		}
	})
	t.Run("wrong", func(t *testing.T) {
		for _, r := range []*gatewayv1.ListFlowsRequest{{PageToken: "x"}, {PageToken: "x.x"}, {Filter: "1"}} {
			if _, err := a.admin().ListFlows(t.Context(), r); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%v: %v", r, err)
			}
		}
	})
	t.Run("what nodes do not ask", func(t *testing.T) {
		for _, other := range b.Status().Cluster.Nodes {
			_, err := gatewayv1.NewAdminServiceClient(b.Status().Cluster.Conn(other.ID)).ListNodes(t.Context(), &gatewayv1.ListNodesRequest{})
			if status.Code(err) != codes.PermissionDenied {
				t.Errorf("%s was asked for nodes: %v", other.Name, err)
			}
		}
	})
}

// oneOrder looks at what a node shows of the flows of all, in an order.
func oneOrder(t *testing.T, n *node) {
	t.Helper()
	down := []string{"c/3", "a/2", "c/2", "a/1", "c/1"}
	for size := range int32(7) {
		for order, want := range map[string][]string{"id desc": down, "id": slices.Collect(reversed(down))} {
			if got := n.allFlows(&gatewayv1.ListFlowsRequest{PageSize: size, OrderBy: order}); !slices.Equal(got, want) {
				t.Errorf("by pages of %d, %s, the flows are %v, want %v", size, order, got, want)
			}
		}
	}
	if got := n.allFlows(&gatewayv1.ListFlowsRequest{Node: "c", PageSize: 2, OrderBy: "opened"}); !slices.Equal(got, []string{"c/1", "c/2", "c/3"}) {
		t.Errorf("the flows of c are %v", got)
	}
	token := ""
	for before := range uint64(2) {
		page := n.page(&gatewayv1.ListFlowsRequest{PageSize: 3, OrderBy: "waits.gateway_share", Filter: "id < 3", PageToken: token}) // which is 0
		if page.GetTotalSize() != 4 || page.GetPrecedingSize() != 3*before {
			t.Errorf("page %d is %v", before, page)
		}
		token = page.GetNextPageToken()
	}
	for _, wrong := range []*gatewayv1.ListFlowsRequest{{OrderBy: "colour"}, {OrderBy: "id", PageToken: "x"}, {OrderBy: "id", Filter: "1"}} {
		if _, err := n.admin().ListFlows(t.Context(), wrong); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	var s *gatewayv1.GetStatusResponse
	until(t, "all nodes answer", func() (so bool) {
		var err error
		s, err = n.admin().GetStatus(t.Context(), &gatewayv1.GetStatusRequest{AllNodes: true})
		return err == nil && len(s.GetUnreachable()) == 0
	})
	if len(s.GetCluster().GetNodes()) != 3 || s.GetActiveFlows() != 0 {
		t.Errorf("the status is %v", s)
	}
	var nodes []string
	for _, of := range s.GetNodeStatuses() {
		nodes = append(nodes, fmt.Sprint(of.GetNode(), " ", of.GetStatus().GetActiveFlows()))
		if of.GetNodeId() == "" || of.GetStatus().GetCluster() != nil || of.GetStatus().GetLimits().GetMaxBytes() == 0 {
			t.Errorf("the status of %s is %v", of.GetNode(), of)
		}
	}
	if want := []string{"a 2", "b 0", "c 3"}; !slices.Equal(nodes, want) {
		t.Errorf("the statuses are %v, want %v", nodes, want)
	}
}

// allFlows is flows once all nodes answer, and page a page: on a slow machine one may be late.
func (n *node) allFlows(ask *gatewayv1.ListFlowsRequest) (flows []string) {
	n.t.Helper()
	until(n.t, "all nodes answer", func() bool {
		var silent []string
		flows, silent = n.flows(ask)
		return len(silent) == 0
	})
	return flows
}

func (n *node) page(ask *gatewayv1.ListFlowsRequest) (page *gatewayv1.ListFlowsResponse) {
	n.t.Helper()
	until(n.t, "all nodes answer", func() bool {
		var err error
		page, err = n.admin().ListFlows(n.t.Context(), ask)
		return err == nil && len(page.GetUnreachable()) == 0
	})
	return page
}

func reversed[T any](s []T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range slices.Backward(s) {
			if !yield(v) {
				return
			}
		}
	}
}

// TestSilentNode: one that does not answer is named, and what the others have is shown.
func TestSilentNode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b := r.spawn(r.config("b", a).Cluster, nil)
	c := r.start("c", a)
	a.reach(b.node, c)
	c.reach(b.node)
	s := c.open(&gatewayv1.Bot{Direction: inject, Credit: 1, Label: `{"flow":"BOT","builtin":"generate","count":2}`})
	s.next()
	b.signal(syscall.SIGSTOP)
	defer b.signal(syscall.SIGCONT)
	dead := func(n *node) bool { return len(n.Status().Cluster.Nodes) < 2 } // as this machine is slow
	for _, order := range []string{"", "messages_per_second desc"} {
		var flows, silent []string
		until(t, "c answers", func() bool {
			flows, silent = a.flows(&gatewayv1.ListFlowsRequest{OrderBy: order})
			return len(flows) > 0
		})
		if !slices.Equal(flows, []string{"c/1"}) || !dead(a) && !slices.Equal(silent, []string{"b: nothing has come within 1s"}) {
			t.Errorf("the flows are %v, without %v", flows, silent)
		}
	}
	var all *gatewayv1.GetStatusResponse
	until(t, "c answers", func() (so bool) {
		var err error
		all, err = a.admin().GetStatus(t.Context(), &gatewayv1.GetStatusRequest{AllNodes: true})
		return err == nil && len(all.GetNodeStatuses()) == 2
	})
	if !dead(a) && (len(all.GetUnreachable()) != 1 || all.GetUnreachable()[0].GetNode() != "b") {
		t.Errorf("the statuses are %v", all)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := c.admin().Drain(ctx, &gatewayv1.DrainRequest{Node: "b"}); !dead(c) && status.Code(err) != codes.Unavailable || err == nil || ctx.Err() != nil {
		t.Errorf("b was drained: %v", err)
	}
}

// watching is a watch, with what it tells.
type watching struct {
	t      *testing.T
	stream grpc.ServerStreamingClient[gatewayv1.WatchFlowsResponse]
	last   map[string]uint64 // the latest events, by node id
	cancel context.CancelFunc
}

func (n *node) watch(request *gatewayv1.WatchFlowsRequest) *watching {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	n.t.Cleanup(cancel)
	stream, err := n.admin().WatchFlows(ctx, request)
	if err == nil {
		_, err = stream.Header()
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return &watching{n.t, stream, map[string]uint64{}, cancel}
}

// next is the next event, as "node/flow state", or "node gone".
func (w *watching) next() string {
	w.t.Helper()
	r, err := w.stream.Recv()
	switch {
	case err != nil:
		w.t.Fatal(err)
	case r.GetMissed() != 0:
		w.t.Errorf("%d events were missed", r.GetMissed())
	case r.GetGone() != "":
		return r.GetNode() + " gone"
	}
	if r.GetNodeId() == "" || r.GetFlow().GetNode() != r.GetNode() || r.GetEvent() <= w.last[r.GetNodeId()] {
		w.t.Errorf("after the events %v comes %v", w.last, r)
	}
	w.last[r.GetNodeId()] = r.GetEvent()
	return fmt.Sprintf("%s/%d %s", r.GetNode(), r.GetFlow().GetId(), strings.ToLower(strings.TrimPrefix(r.GetFlow().GetState().String(), "FLOW_STATE_")))
}

func (w *watching) want(events ...string) {
	w.t.Helper()
	for _, want := range events {
		if got := w.next(); got != want {
			w.t.Fatalf("told was %q, want %q", got, want)
		}
	}
}

// until passes over events until one that begins so.
func (w *watching) until(prefix string) {
	w.t.Helper()
	for so := false; !so; {
		so = strings.HasPrefix(w.next(), prefix)
	}
}

// reach waits until the node is told by others what flows they have: it knows them before it is
// connected to them, which on a slow machine takes as long as one who is asked may take to answer.
func (n *node) reach(others ...*node) {
	n.t.Helper()
	for _, other := range others {
		until(n.t, n.name+" is told by "+other.name, func() bool {
			r, err := n.admin().ListFlows(n.t.Context(), &gatewayv1.ListFlowsRequest{Node: other.name})
			return err == nil && len(r.GetUnreachable()) == 0
		})
	}
}

// TestWatchAll: a watch tells of the flows of all nodes, of one that goes and of one that
// comes, and goes on where another has ended.
func TestWatchAll(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b := r.start("b", a)
	a.knows(1, 0)
	b.knows(1, 0)
	generate := func(n *node) *stream {
		s := n.open(&gatewayv1.Bot{Direction: inject, Credit: 1, Label: `{"flow":"BOT","builtin":"generate","count":2}`})
		s.next()
		return s
	}
	a.reach(b)
	w, only := a.watch(&gatewayv1.WatchFlowsRequest{}), a.watch(&gatewayv1.WatchFlowsRequest{Node: "b"})
	generate(a)
	w.want("a/1 pending", "a/1 active")
	second := generate(b)
	w.want("b/1 pending", "b/1 active")
	only.want("b/1 pending", "b/1 active")
	w.cancel()

	second.cancel()
	until(t, "the flow at b has ended", func() bool { return b.Broker().Live() == 0 })
	generate(a)
	var after []*gatewayv1.NodeEventNumber
	for id, event := range w.last {
		after = append(after, &gatewayv1.NodeEventNumber{NodeId: id, Event: event})
	}
	w = a.watch(&gatewayv1.WatchFlowsRequest{AfterEvents: append(after, &gatewayv1.NodeEventNumber{NodeId: "gone", Event: 1})})
	got := []string{w.next(), w.next(), w.next(), w.next()}
	slices.Sort(got)
	if want := []string{"a/2 active", "a/2 pending", "b/1 ended", "gone gone"}; !slices.Equal(got, want) {
		t.Errorf("told was %q, want %q", got, want)
	}

	c := r.start("c", a)
	a.knows(2, 0)
	a.reach(c)
	ctx, cancel := context.WithCancel(t.Context())
	var opening sync.WaitGroup
	opening.Go(func() { // until c is watched: that is soon, but not when
		for ctx.Err() == nil {
			f, err := gatewayv1.NewFlowServiceClient(c.conn).Get(ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Label: `{"builtin":"generate","count":1}`}})
			for err == nil {
				_, err = f.Recv()
			}
		}
	})
	w.until("c/")
	cancel()
	opening.Wait()
	b.stop()
	w.until("b gone") // behind what is left of c's
	only.want("b/1 ended", "b gone")

	a.knows(1, 0)
	again, err := a.admin().WatchFlows(t.Context(), &gatewayv1.WatchFlowsRequest{Node: "b"})
	if err == nil {
		_, err = again.Recv()
	}
	if status.Code(err) != codes.NotFound {
		t.Errorf("a node that has gone is watched: %v", err)
	}
	far, err := a.admin().WatchFlows(t.Context(), &gatewayv1.WatchFlowsRequest{Node: "c", AfterEvent: 1})
	if err == nil {
		_, err = far.Recv()
	}
	if status.Code(err) != codes.OutOfRange {
		t.Errorf("an event that c does not remember: %v", err)
	}
}
