package cluster

import (
	"sync"

	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
)

// maxMatches is how many compiled expressions are kept: most listeners have the same as
// others.
const maxMatches = 1024

// matches are expressions that were compiled. Its method may be called concurrently.
type matches struct {
	mu   sync.Mutex
	kept map[string]matching.Match // guarded by mu
}

func newMatches() *matches { return &matches{kept: map[string]matching.Match{}} }

// compile compiles an expression; nil for an empty one, which takes every BOT.
func (k *matches) compile(expression string) (matching.Match, error) {
	if expression == "" {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if m, there := k.kept[expression]; there {
		return m, nil
	}
	m, err := match.Compile(expression)
	if err != nil {
		return nil, err
	}
	if len(k.kept) >= maxMatches {
		clear(k.kept)
	}
	k.kept[expression] = m
	return m, nil
}
