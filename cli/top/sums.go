package top

import gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"

// sums are what a gateway has in all; of a cluster, what the nodes have that have answered.
type sums struct {
	cluster                     bool
	active, pending, halfClosed uint64
	peers, listeners            uint64
	queued, most                uint64 // bytes
	draining                    int    // nodes
	moved                       map[string]moved
}

// moved is what a node has passed on since its start.
type moved struct{ messages, bytes uint64 }

func sumsOf(s *gatewayv1.GetStatusResponse) sums {
	all := sums{cluster: len(s.GetNodeStatuses()) > 0, moved: map[string]moved{}}
	for _, n := range s.GetNodeStatuses() {
		all.add(n.GetNodeId(), n.GetStatus())
	}
	if !all.cluster {
		all.add("", s)
	}
	return all
}

func (a *sums) add(id string, s *gatewayv1.GetStatusResponse) {
	a.active += s.GetActiveFlows()
	a.pending += s.GetPendingFlows()
	a.halfClosed += s.GetHalfClosedFlows()
	a.peers += s.GetPeers()
	a.listeners += s.GetListeners()
	a.queued += s.GetQueuedBytes()
	a.most += uint64(max(0, s.GetLimits().GetMaxBytes()))
	if s.GetDraining() {
		a.draining++
	}
	a.moved[id] = moved{s.GetMessages(), s.GetBytes()}
}

// since is what has moved since then, at nodes that have answered both times and have not been
// restarted between.
func (a *sums) since(before sums) (messages, bytes uint64) {
	for id, now := range a.moved {
		if then, known := before.moved[id]; known && now.messages >= then.messages && now.bytes >= then.bytes {
			messages += now.messages - then.messages
			bytes += now.bytes - then.bytes
		}
	}
	return messages, bytes
}
