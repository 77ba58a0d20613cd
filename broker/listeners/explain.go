package listeners

import (
	"fmt"
	"strings"

	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
)

const waitsForSlot = "full: a flow waits for a place until the pending deadline, then ends with overloaded"

// maxExplained is how many listeners of a name are explained one by one.
const maxExplained = 3

// Explain says what the listeners make of a BOT.
func (g *group) Explain(v *matching.View) string {
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
			refusals = append(refusals, fmt.Sprintf("listener %d: %s", l.id, matching.Explain(l.spec.Match, v, false)))
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
		return fmt.Sprintf("%d of %d listeners match, all are %s", taking, len(listeners), waitsForSlot)
	}
	return fmt.Sprintf("%d of %d listeners match, %d of them are not full", taking, len(listeners), free)
}

// ExplainIn says whether there are listeners of the name.
func (t ToListeners) ExplainIn(table *routing.Table) string {
	g := groupNamed(table, t.Name)
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
		return fmt.Sprintf("the listeners named %s are all %s", t.Name, waitsForSlot)
	}
	return fmt.Sprintf("%d of %d listeners named %s are not full", free, len(listeners), t.Name)
}
