package tables

import (
	"fmt"
	"strings"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Event is a line for a flow that has entered a state, and one before it for those that were
// missed.
func Event(e *gatewayv1.WatchFlowsResponse) string {
	text := ""
	if n := e.GetMissed(); n > 0 {
		text = Paint(fmt.Sprintf("%s events were missed", Count(n)), Odd) + "\n"
	}
	if e.GetGone() != "" {
		text += Paint(Printable(fmt.Sprintf("node %s tells of no more flows: %s", e.GetNode(), e.GetGone())), Bad) + "\n"
	}
	f := e.GetFlow()
	if f == nil {
		return text
	}
	state := State(f)
	words := []string{e.GetTime().AsTime().Local().Format("15:04:05.000")}
	if e.GetNode() != "" {
		words = append(words, Cut(Printable(e.GetNode()), longCell))
	}
	words = append(words,
		fmt.Sprintf("%6d", f.GetId()),
		Paint(fmt.Sprintf("%-14s", Printable(state.Text)), state.Mood),
	)
	about := []string{f.GetRoute(), Peer(f.GetClient()), Arrow(f), Peer(f.GetHandler())}
	if f.GetState() == gatewayv1.FlowState_FLOW_STATE_ENDED {
		about = append(about, "after "+Span(Age(f, e.GetTime().AsTime())), Bytes(f.GetFromClient().GetBytes()+f.GetFromHandler().GetBytes()))
	}
	if f.GetDetail() != "" {
		about = append(about, "("+f.GetDetail()+")")
	}
	about = append(about, Attributes(f.GetAttributes()))
	for _, word := range about {
		if word != "" {
			words = append(words, Cut(Printable(word), longCell))
		}
	}
	return text + strings.Join(words, "  ") + "\n"
}
