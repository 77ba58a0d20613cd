package admin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/contract"
)

// lookAgain is how often it is seen which nodes there are, while somebody watches.
const lookAgain = 500 * time.Millisecond

// WatchFlows tells of the flows of all nodes, each in its own order. Nodes that come later are
// watched from then on; of one that tells no more, that is told.
func (v *View) WatchFlows(request *gatewayv1.WatchFlowsRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchFlowsResponse]) error {
	all := v.cluster()
	if len(all) == 0 && request.GetNode() == "" {
		return v.Service.WatchFlows(request, stream)
	}
	if _, err := newSelection(request.GetStates(), request.GetFilter()); err != nil {
		return err
	}
	nodes, err := named(all, request.GetNode())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	w := &watch{
		View: v, request: request, stream: stream, ctx: ctx,
		news: make(chan news), open: make(chan struct{}), nodes: map[string]*watchedNode{},
	}
	defer w.running.Wait()
	defer cancel()
	return w.run(nodes)
}

// watch is somebody who watches several nodes. Its fields are used by the goroutine of the
// call, but for what the others are given.
type watch struct {
	*View
	request *gatewayv1.WatchFlowsRequest
	stream  grpc.ServerStreamingServer[gatewayv1.WatchFlowsResponse]
	ctx     context.Context
	news    chan news
	open    chan struct{}                   // closed when the caller knows that the watch has begun
	before  []*gatewayv1.WatchFlowsResponse // what there is to tell by then, of nodes that do not
	running sync.WaitGroup
	nodes   map[string]*watchedNode // by id; also those that have gone
}

// watchedNode is what is known of a node.
type watchedNode struct {
	node
	asked   uint64 // the event after which the caller wants to go on; 0 for none, or once it does
	last    uint64 // the latest event that the caller was sent
	watched bool   // somebody asks it
	begun   bool   // it tells
	gone    bool   // the caller was told that it does not
}

// news is what has come of a node: that it tells, an event, or that it tells no more.
type news struct {
	of    *watchedNode
	event *gatewayv1.WatchFlowsResponse // nil for none
	over  bool
	err   error // why it is over
}

func (w *watch) run(nodes []node) error {
	for _, n := range nodes {
		w.begin(n, w.after(n))
	}
	for _, a := range w.request.GetAfterEvents() {
		if n := w.nodes[a.GetNodeId()]; n == nil {
			missing := &watchedNode{node: node{id: a.GetNodeId(), name: a.GetNodeId()}}
			w.nodes[a.GetNodeId()] = missing
			_ = w.tellGone(missing, "it is not in the cluster") // which waits
		}
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	if err := w.await(late.C); err != nil {
		return err
	}
	if err := w.stream.SendHeader(nil); err != nil {
		return err
	}
	close(w.open)
	for _, r := range w.before {
		if err := w.stream.Send(r); err != nil {
			return err
		}
	}
	for _, n := range w.nodes {
		if !n.begun && !n.gone {
			if err := w.tellGone(n, fmt.Sprintf("nothing has come within %v", patience)); err != nil {
				return err
			}
		}
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case next := <-w.news:
			if err := w.take(next); err != nil {
				return err
			}
		case <-tick.C:
			found, err := named(w.cluster(), w.request.GetNode())
			if err != nil {
				continue // the only one has gone
			}
			for _, n := range found {
				w.begin(n, 0)
			}
		case <-w.ctx.Done():
			return status.FromContextError(w.ctx.Err()).Err()
		case <-w.stop.Done():
			return contract.Stopping()
		}
	}
}

// await waits until all nodes tell, or are late.
func (w *watch) await(late <-chan time.Time) error {
	for {
		waits := false
		for _, n := range w.nodes {
			waits = waits || !n.begun && !n.gone
		}
		if !waits {
			return nil
		}
		select {
		case next := <-w.news:
			if err := w.take(next); err != nil {
				return err
			}
		case <-late:
			return nil
		case <-w.ctx.Done():
			return status.FromContextError(w.ctx.Err()).Err()
		case <-w.stop.Done():
			return contract.Stopping()
		}
	}
}

// after is the event of a node after which the caller wants to go on; 0 for none.
func (w *watch) after(n node) uint64 {
	for _, a := range w.request.GetAfterEvents() {
		if a.GetNodeId() == n.id {
			return a.GetEvent()
		}
	}
	if n.self() || w.request.GetNode() != "" {
		return w.request.GetAfterEvent()
	}
	return 0
}

// begin watches a node, unless that is done: after that event, or what was sent of it last.
func (w *watch) begin(is node, after uint64) {
	n := w.nodes[is.id]
	if n == nil {
		n = &watchedNode{node: is, asked: after}
		w.nodes[is.id] = n
	}
	if n.watched || is.wrong != "" {
		return
	}
	n.node, n.watched = is, true
	from := n.last
	if from == 0 {
		from = n.asked
	}
	request := &gatewayv1.WatchFlowsRequest{Filter: w.request.GetFilter(), States: w.request.GetStates(), AfterEvent: from}
	w.running.Go(func() {
		var err error
		if is.self() {
			err = w.Service.WatchFlows(request, &ownStream{w.stream, w, n})
		} else {
			err = w.follow(is, request, n)
		}
		_ = w.tell(news{of: n, over: true, err: err})
	})
}

// follow passes on what another node tells.
func (w *watch) follow(is node, request *gatewayv1.WatchFlowsRequest, n *watchedNode) error {
	stream, err := gatewayv1.NewAdminServiceClient(is.conn).WatchFlows(w.asking(w.ctx), request, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	if head, err := stream.Header(); err == nil && head != nil {
		if err := w.opens(n); err != nil {
			return err
		}
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := w.tell(news{of: n, event: event}); err != nil {
			return err
		}
	}
}

// opens tells that a node tells, and waits until the caller knows.
func (w *watch) opens(n *watchedNode) error {
	if err := w.tell(news{of: n}); err != nil {
		return err
	}
	select {
	case <-w.open:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// tell hands over what has come of a node.
func (w *watch) tell(what news) error {
	select {
	case w.news <- what:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// take deals with what has come of a node.
func (w *watch) take(what news) error {
	n := what.of
	switch {
	case what.over:
		n.watched, n.begun = false, false
		return w.ended(n, what.err)
	case what.event == nil:
		n.begun, n.gone = true, false
		return nil
	}
	r := what.event
	r.Node, r.NodeId = n.name, n.id
	if r.GetEvent() != 0 {
		n.last = r.GetEvent()
	}
	return w.stream.Send(r)
}

// ended deals with a node that tells no more. What the caller has asked for in vain, or
// wrongly, ends the call.
func (w *watch) ended(n *watchedNode, err error) error {
	said := status.Convert(err)
	switch {
	case said.Code() == codes.OutOfRange && n.last == 0 && n.asked != 0:
		problem := fmt.Sprintf("node %s: %s", n.name, said.Message())
		return contract.WithDetails(status.New(codes.OutOfRange, problem), &errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "after_events", Description: problem}},
		})
	case n.self() || said.Code() == codes.InvalidArgument:
		return err
	case said.Code() == codes.OutOfRange: // it goes on from now
		n.last, n.asked = 0, 0
	}
	if n.gone {
		return nil
	}
	why := "it has ended the watch"
	if err != nil {
		why = text.Detail(said.Message())
	}
	return w.tellGone(n, why)
}

// tellGone tells that a node tells no more.
func (w *watch) tellGone(n *watchedNode, why string) error {
	n.gone = true
	r := &gatewayv1.WatchFlowsResponse{Time: timeOf(time.Now()), Node: n.name, NodeId: n.id, Gone: why}
	select {
	case <-w.open:
		return w.stream.Send(r)
	default:
		w.before = append(w.before, r)
		return nil
	}
}

// ownStream is what this node tells of itself: a stream of its Service.
type ownStream struct {
	grpc.ServerStreamingServer[gatewayv1.WatchFlowsResponse]
	watch *watch
	of    *watchedNode
}

// Context implements grpc.ServerStream.
func (s *ownStream) Context() context.Context { return s.watch.ctx }

// SendHeader implements grpc.ServerStream.
func (s *ownStream) SendHeader(metadata.MD) error { return s.watch.opens(s.of) }

// Send implements grpc.ServerStreamingServer.
func (s *ownStream) Send(r *gatewayv1.WatchFlowsResponse) error {
	return s.watch.tell(news{of: s.of, event: r})
}
