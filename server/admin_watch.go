package server

import (
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// watchRoom is how many events may wait for one watcher to read them; further
// ones it misses.
const watchRoom = 1024

// WatchFlows tells of the flows that are selected as they enter their states. The
// work of telling is done here, a queue away from the flows.
func (s *adminService) WatchFlows(request *gatewayv1.WatchFlowsRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchFlowsResponse]) error {
	selected, err := newSelection(request.GetStates(), request.GetFilter())
	if err != nil {
		return err
	}
	watcher := s.broker.Watch(watchRoom)
	defer watcher.Close()
	err = stream.SendHeader(nil) // so that the caller knows that the watch has begun
	var missed uint64
	for err == nil {
		select {
		case event := <-watcher.Events():
			missed += event.Missed
			if !selected.takes(event.Flow, event.Time) {
				continue
			}
			err = stream.Send(&gatewayv1.WatchFlowsResponse{
				Time: timeOf(event.Time), Flow: s.shown.of(event.Flow), Missed: missed,
			})
			missed = 0
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-s.stop.Done():
			return endError(&broker.EndError{Reason: flow.Draining, Detail: "the gateway is shutting down"}, 0)
		}
	}
	return err
}

// shownFlows are the flows of the latest events as the contract has them, so that
// an event is put into its words once and not for each watcher. It may be used
// concurrently.
type shownFlows struct {
	mu     sync.Mutex
	latest [32]shownFlow // guarded by mu; a ring
	next   int           // guarded by mu
}

type shownFlow struct {
	info *broker.FlowInfo
	flow *gatewayv1.Flow
}

// of answers a message that is not to be changed.
func (l *shownFlows) of(info *broker.FlowInfo) *gatewayv1.Flow {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.latest {
		if s.info == info {
			return s.flow
		}
	}
	s := shownFlow{info, toFlow(info, listedAttributes)}
	l.latest[l.next] = s
	l.next = (l.next + 1) % len(l.latest)
	return s.flow
}
