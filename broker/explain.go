package broker

import (
	"context"
	"fmt"
	"strings"
)

// Verdict is what one route says of a BOT.
type Verdict struct {
	Route  string
	Origin Origin
	// Matches tells whether the route would take the BOT, if it came to it; Takes,
	// whether it does: it is the first that matches.
	Matches, Takes bool
	// Explanation says why, or why not, in words.
	Explanation string
}

// Explain answers the verdict of every route on a BOT, in the order in which they
// are tried. No flow is opened by it. The error is the cause of the context's end.
func (b *Broker) Explain(ctx context.Context, v *View) ([]Verdict, error) {
	turn, err := b.turns.Take(ctx, "operators")
	if err != nil {
		return nil, err
	}
	defer turn.End()
	all := b.routes.all()
	verdicts := make([]Verdict, len(all))
	taken := false
	for i, w := range all {
		if err := turn.Share(ctx); err != nil {
			return nil, err
		}
		matches := w.takes(v)
		verdicts[i] = Verdict{
			Route: w.Name, Origin: w.origin, Matches: matches, Takes: matches && !taken,
			Explanation: b.explain(w, v, matches),
		}
		taken = taken || matches
	}
	return verdicts, nil
}

func (b *Broker) explain(w *way, v *View, matches bool) string {
	if w.group != nil {
		return w.group.explain(v)
	}
	words := explainMatch(w.Match, v, matches)
	if !matches {
		return words
	}
	var state string
	switch factory := w.Factory.(type) {
	case ToListeners:
		state = factory.explain(&b.routes)
	case Explainer:
		state = factory.Explain(v)
	}
	if state != "" {
		words += "; " + state
	}
	return words
}

// explainMatch says why a match takes a BOT, or not.
func explainMatch(m Match, v *View, matches bool) string {
	if m == nil {
		return "takes every BOT"
	}
	if e, ok := m.(Explainer); ok {
		return e.Explain(v)
	}
	return fmt.Sprintf("is %t", matches)
}

const waitsForPlace = "full: a flow waits for a place until the pending deadline, then ends with overloaded"

// maxExplained is how many listeners of a name are explained one by one.
const maxExplained = 3

// explain says what the listeners make of a BOT.
func (g *group) explain(v *View) string {
	listeners, busy := g.snapshot()
	taking, free := 0, 0
	var refusals []string
	for i, l := range listeners {
		switch {
		case l.takes(v):
			taking++
			if l.spec.MaxFlows == 0 || busy[i] < l.spec.MaxFlows {
				free++
			}
		case len(refusals) < maxExplained:
			refusals = append(refusals, fmt.Sprintf("listener %d: %s", l.id, explainMatch(l.spec.Match, v, false)))
		}
	}
	switch {
	case len(listeners) == 0:
		return "its listeners have left"
	case taking == 0:
		if more := len(listeners) - len(refusals); more > 0 {
			refusals = append(refusals, fmt.Sprintf("and %d more", more))
		}
		return strings.Join(refusals, "; ")
	case free == 0:
		return fmt.Sprintf("%d of %d listeners match, all are %s", taking, len(listeners), waitsForPlace)
	}
	return fmt.Sprintf("%d of %d listeners match, %d of them are not full", taking, len(listeners), free)
}

// explain says whether there are listeners of the name.
func (t ToListeners) explain(table *routeTable) string {
	g := table.groupNamed(t.Name)
	if g == nil {
		return fmt.Sprintf("no listener named %s is registered: a flow waits for one as long as --handler-wait, then ends with no_handler", t.Name)
	}
	listeners, busy := g.snapshot()
	free := 0
	for i, l := range listeners {
		if l.spec.MaxFlows == 0 || busy[i] < l.spec.MaxFlows {
			free++
		}
	}
	if free == 0 {
		return fmt.Sprintf("the listeners named %s are all %s", t.Name, waitsForPlace)
	}
	return fmt.Sprintf("%d of %d listeners named %s are not full", free, len(listeners), t.Name)
}
