package cluster

import (
	"context"
	"sync"
)

// compilable is something of another node's whose match is to be compiled.
type compilable interface {
	// wanted tells whether that is still so, compile does it, unless the context ends.
	wanted() bool
	compile(context.Context)
}

// compiler compiles what listeners and routes of other nodes match, one after the other and
// beside the loop: whoever joins a large cluster would have no time to beat, and to evaluate
// one ruleset may take seconds. Its methods may be called concurrently.
type compiler struct {
	ctx  context.Context
	stop context.CancelFunc
	most int // of what waits; 0 for no bound

	mu      sync.Mutex
	waiting []compilable // guarded by mu
	running bool         // guarded by mu; somebody does
	done    sync.WaitGroup
}

func newCompiler(most int) *compiler {
	k := &compiler{most: most}
	k.ctx, k.stop = context.WithCancel(context.Background())
	return k
}

// add has it be compiled, unless as many wait as may, or nothing more is compiled.
func (k *compiler) add(next compilable) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx.Err() != nil || k.most > 0 && len(k.waiting) >= k.most {
		return
	}
	k.waiting = append(k.waiting, next)
	if !k.running {
		k.running = true
		k.done.Go(k.run)
	}
}

func (k *compiler) run() {
	for {
		k.mu.Lock()
		if k.ctx.Err() != nil || len(k.waiting) == 0 {
			k.running, k.waiting = false, nil
			k.mu.Unlock()
			return
		}
		next := k.waiting[0]
		k.waiting[0], k.waiting = nil, k.waiting[1:]
		k.mu.Unlock()
		if next.wanted() {
			next.compile(k.ctx)
		}
	}
}

// close compiles nothing more.
func (k *compiler) close() {
	k.mu.Lock()
	k.stop()
	k.mu.Unlock()
	k.done.Wait()
}
