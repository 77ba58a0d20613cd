package routing

import (
	"context"

	"github.com/zioflow/gateway/broker/matching"
)

// Verdict is what one route says of a BOT.
type Verdict struct {
	Route  string
	Origin Origin
	// Node is the name of the other node of the cluster whose route it is; empty for this
	// one's.
	Node string
	// Matches tells whether the route would take the BOT, if it came to it; Takes,
	// whether it does: it is the first that matches, and is not held just now.
	Matches, Takes bool
	// Explanation says why, or why not, in words.
	Explanation string
}

// Explain returns the verdict of every route on a BOT, in the order in which they
// are tried. No flow is opened by it. The error is the cause of the context's end.
func (r *Router) Explain(ctx context.Context, v *matching.View) ([]Verdict, error) {
	turn, err := r.Scheduler.Take(ctx, "operators")
	if err != nil {
		return nil, err
	}
	defer turn.End()
	all := r.Table.all()
	verdicts := make([]Verdict, len(all))
	taken := false
	for i, e := range all {
		if err := turn.Share(ctx); err != nil {
			return nil, err
		}
		matches := e.takes(v)
		verdicts[i] = Verdict{
			Route: e.Name, Origin: e.origin, Node: e.node(), Matches: matches, Takes: matches && !taken && e.heldBy() == nil,
			Explanation: r.Table.explain(e, v, matches),
		}
		taken = taken || verdicts[i].Takes
	}
	return verdicts, nil
}

// TableExplainer is an Explainer that needs the table for it.
type TableExplainer interface {
	ExplainIn(*Table) string
}

func (t *Table) explain(e *Entry, v *matching.View, matches bool) string {
	if e.announced != nil {
		return e.announced.Explain(v)
	}
	words := matching.Explain(e.Match, v, matches)
	if !matches {
		return words
	}
	var state string
	switch factory := e.Factory.(type) {
	case TableExplainer:
		state = factory.ExplainIn(t)
	case matching.Explainer:
		state = factory.Explain(v)
	}
	if state != "" {
		words += "; " + state
	}
	if why := e.heldBy(); why != nil {
		words += "; " + why.Why
	}
	return words
}
