package cluster

import (
	"context"
	"log/slog"
	"sync"

	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
)

// maxMatches is how many compiled expressions are kept: most listeners have the same as
// others. No more wait to be compiled.
const maxMatches = 1024

// matches are the expressions of other nodes' listeners. They are compiled beforehand, or when a
// BOT is to be matched. Its methods may be called concurrently.
type matches struct {
	log      *slog.Logger
	compiler *compiler

	mu   sync.Mutex
	kept map[string]*expression // guarded by mu
}

func newMatches(log *slog.Logger) *matches {
	return &matches{log: log, compiler: newCompiler(maxMatches), kept: map[string]*expression{}}
}

// of returns what matches as the expression does; nil for an empty one, which takes every BOT.
func (k *matches) of(text string) matching.Match {
	if text == "" {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, there := k.kept[text]; there {
		return e
	}
	if len(k.kept) >= maxMatches {
		clear(k.kept)
	}
	e := &expression{text: text, log: k.log}
	k.kept[text] = e
	k.compiler.add(e) // where there is no room it is compiled when it is needed
	return e
}

// expression is one of a listener's. It implements matching.Match and what goes with that,
// and may be used concurrently.
type expression struct {
	text string
	log  *slog.Logger
	once sync.Once
	is   matching.Match // set by once; nil for one that makes no sense here
}

// wanted implements compilable.
func (e *expression) wanted() bool { return true }

// compile implements compilable.
func (e *expression) compile(context.Context) { e.compiled() }

func (e *expression) compiled() matching.Match {
	e.once.Do(func() {
		is, err := match.Compile(e.text)
		if err != nil { // its node has taken it
			e.log.Warn("listeners of other nodes cannot be used", "match", e.text, "error", err)
			return
		}
		e.is = is
	})
	return e.is
}

// Match implements matching.Match.
func (e *expression) Match(v *matching.View) bool {
	is := e.compiled()
	return is != nil && is.Match(v)
}

// Explain implements matching.Explainer.
func (e *expression) Explain(v *matching.View) string {
	if is := e.compiled(); is != nil {
		return matching.Explain(is, v, is.Match(v))
	}
	return "the expression is not understood by this node"
}

// String is the expression as it was given.
func (e *expression) String() string { return e.text }
