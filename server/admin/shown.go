package admin

import (
	"sync"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/relay"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// shownFlows are the flows of the latest events as the contract has them, so that
// an event is put into its words once and not for each watcher. It may be used
// concurrently.
type shownFlows struct {
	mu     sync.Mutex
	latest [32]shownFlow // guarded by mu; a ring
	next   int           // guarded by mu
}

func (l *shownFlows) response(w watched, node string) *gatewayv1.WatchFlowsResponse {
	r := &gatewayv1.WatchFlowsResponse{Time: timeOf(w.Time), Missed: w.missed, Event: w.ID}
	if w.Flow != nil {
		r.Flow = l.of(w.Flow, node)
	}
	return r
}

// of returns a message that is not to be changed.
func (l *shownFlows) of(info *relay.Info, node string) *gatewayv1.Flow {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.latest {
		if s.info == info {
			return s.flow
		}
	}
	s := shownFlow{info, toFlow(info, listedAttributes)}
	s.flow.Node = node
	l.latest[l.next] = s
	l.next = (l.next + 1) % len(l.latest)
	return s.flow
}

// watched is an event that a watcher has asked for, or how many it has missed since the
// last one.
type watched struct {
	broker.Event
	missed uint64
}

type shownFlow struct {
	info *relay.Info
	flow *gatewayv1.Flow
}
