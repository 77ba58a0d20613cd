package admin

import (
	"context"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// How many events may wait for one watcher to read them, and how many bytes of labels
// are in them, besides one label; further ones it misses.
const (
	watchRoom   = 1024
	watchLabels = 16 << 20
)

// WatchFlows tells of the flows that are selected as they enter their states. The
// work of telling is done here, a queue away from the flows, and that of selecting
// another queue away: only what the watcher has asked for waits for it.
func (s *Service) WatchFlows(request *gatewayv1.WatchFlowsRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchFlowsResponse]) error {
	selected, err := newSelection(request.GetStates(), request.GetFilter())
	if err != nil {
		return err
	}
	watcher, err := s.watch(request.GetAfterEvent())
	if err != nil {
		return err
	}
	queue := newWatchQueue(watchRoom + watcher.Backlog())
	var selecting sync.WaitGroup
	defer selecting.Wait()
	defer watcher.Close()
	selecting.Go(func() {
		for event := range watcher.Events() {
			queue.put(event, selected.takes(event.Flow, event.Time))
		}
	})
	own := s.ownName()
	err = stream.SendHeader(nil) // so that the caller knows that the watch has begun
	for err == nil {
		var next watched
		if next, err = queue.take(stream.Context(), s.stop); err == nil {
			err = stream.Send(s.shown.response(next, own))
		}
	}
	return err
}

// watch begins to watch after an event, or now if that is 0.
func (s *Service) watch(after uint64) (*broker.Watcher, error) {
	if after == 0 {
		return s.broker.Watch(watchRoom), nil
	}
	watcher, err := s.broker.WatchAfter(watchRoom, after)
	if err == nil {
		return watcher, nil
	}
	problem := err.Error() + "; list the flows, and watch from now on"
	return nil, contract.WithDetails(status.New(codes.OutOfRange, "after_event: "+problem), &errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "after_event", Description: problem}},
	})
}

// watchQueue is what waits for a watcher. One goroutine takes, another puts.
type watchQueue struct {
	wake chan struct{} // holds a token when there may be something to take
	room int           // for events

	mu     sync.Mutex
	events []watched // guarded by mu
	labels int       // guarded by mu; bytes in them
	missed uint64    // guarded by mu; since the last of them
}

func newWatchQueue(room int) *watchQueue {
	return &watchQueue{wake: make(chan struct{}, 1), room: room}
}

// put takes in an event, if it was asked for and there is room for it. What was missed
// before it, because not even the selecting kept up, counts whether it was asked for or
// not: nobody knows.
func (q *watchQueue) put(event broker.Event, asked bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.missed += event.Missed
	switch {
	case !asked:
		if event.Missed == 0 {
			return
		}
	case len(q.events) >= q.room || q.labels > watchLabels:
		q.missed++
	default:
		q.events = append(q.events, watched{event, q.missed})
		q.labels += len(event.Flow.Label)
		q.missed = 0
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take waits for what is to be told next: an event, or when none waits how many were
// missed.
func (q *watchQueue) take(ctx, stop context.Context) (watched, error) {
	for {
		if next, ok := q.next(); ok {
			return next, nil
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return watched{}, status.FromContextError(ctx.Err()).Err()
		case <-stop.Done():
			return watched{}, contract.Stopping()
		}
	}
}

func (q *watchQueue) next() (next watched, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.events) > 0:
		next, q.events[0] = q.events[0], watched{}
		q.events = q.events[1:]
		q.labels -= len(next.Flow.Label)
		return next, true
	case q.missed > 0:
		next = watched{broker.Event{Time: time.Now()}, q.missed}
		q.missed = 0
		return next, true
	default:
		return watched{}, false
	}
}
