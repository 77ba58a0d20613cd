package broker

import (
	"fmt"
	"sync"

	"github.com/zioflow/gateway/broker/flow"
)

// quotas counts the flows that the peers of each name take part in. The zero quotas is
// ready.
type quotas struct {
	mu    sync.Mutex
	flows map[string]int // guarded by mu; live ones
}

// acquire counts one more flow of that name, unless it has as many as it may. A
// peer without a name is not counted.
func (q *quotas) acquire(name string, most int) *flow.Error {
	if name == "" {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if most > 0 && q.flows[name] >= most {
		return &flow.Error{Reason: flow.Overloaded, Detail: fmt.Sprintf("%s has as many flows as it may, %d", name, most), Denied: flow.DeniedFlows}
	}
	if q.flows == nil {
		q.flows = map[string]int{}
	}
	q.flows[name]++
	return nil
}

// release counts one flow of that name less.
func (q *quotas) release(name string) {
	if name == "" {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.flows[name]--; q.flows[name] <= 0 {
		delete(q.flows, name)
	}
}
