package tables

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// facts is a table of names and what they are; those that are empty are left out.
type facts struct{ Table }

func (f *facts) add(name string, c Cell) {
	if c.Text != "" {
		f.Rows = append(f.Rows, []Cell{{name, Dim}, c})
	}
}

func (f *facts) say(name, format string, arguments ...any) {
	f.add(name, of(fmt.Sprintf(format, arguments...)))
}

// Flow is all about one flow.
func Flow(f *gatewayv1.Flow, now time.Time) *Table {
	t := &facts{}
	t.add("flow", of(Number(f.GetId())))
	t.add("node", of(f.GetNode()))
	t.add("state", State(f))
	t.add("detail", of(f.GetDetail()))
	t.add("route", of(f.GetRoute()))
	t.add("client", of(longPeer(f.GetClient())))
	t.add("handler", of(longPeer(f.GetHandler())))
	t.add("data", of(map[string]string{"→": "from client to handler", "←": "from handler to client"}[Arrow(f)]))
	t.say("opened", "%s, %s ago", moment(f.GetOpened()), since(f.GetOpened(), now))
	if f.GetEnded() != nil {
		t.say("ended", "%s, %s ago, after %s", moment(f.GetEnded()), since(f.GetEnded(), now), Span(Age(f, now)))
	}
	if f.GetDeadline() != nil {
		t.say("given up", "in %s", Span(f.GetDeadline().AsTime().Sub(now)))
	}
	t.credit(f)
	t.add("from client", of(traffic(f.GetFromClient())))
	t.add("from handler", of(traffic(f.GetFromHandler())))
	if f.GetState() != gatewayv1.FlowState_FLOW_STATE_ENDED {
		t.add("rate", of(strings.TrimSuffix(Rate(f.GetMessagesPerSecond())+", "+ByteRate(f.GetBytesPerSecond()), ", ")))
	}
	t.ago("last DAT", since(f.GetLastDat(), now))
	t.ago("last PAY", since(f.GetLastPay(), now))
	t.add("held up by", HeldUp(f))
	if w := f.GetWaits(); w != nil {
		t.say("has waited", "%s for the giver, %s for the taker, %s for the gateway",
			Span(w.GetForGiver().AsDuration()), Span(w.GetForTaker().AsDuration()), Span(w.GetForGateway().AsDuration()))
	}
	for _, name := range slices.Sorted(maps.Keys(f.GetAttributes().GetFields())) {
		t.add("  "+name, of(value(f.GetAttributes().GetFields()[name])))
	}
	t.leftOut(f.GetLeftOut())
	return &t.Table
}

func (f *facts) ago(name, span string) {
	if span != "" {
		f.add(name, of(span+" ago"))
	}
}

func (f *facts) credit(flow *gatewayv1.Flow) {
	state := flow.GetCreditState()
	if state == nil {
		f.say("credit", "%d", flow.GetCredit())
		return
	}
	f.say("credit", "%d: %d held by the giver, %d not paid for yet", flow.GetCredit(), state.GetHeldByGiver(), state.GetOutstanding())
	if n := state.GetWithheld(); n > 0 {
		f.add("withheld", Cell{fmt.Sprintf("%d paid for, for want of memory", n), Bad})
	}
	if n := state.GetQueuedMessages(); n > 0 {
		f.say("queued", "%d messages, %s, which the taker has not read", n, Bytes(state.GetQueuedBytes()))
	}
}

func (f *facts) leftOut(l *gatewayv1.LeftOut) {
	for _, a := range l.GetAttributes() {
		f.add("  "+a.GetName(), Cell{fmt.Sprintf("not shown whole: %s, %s", a.GetWhy(), Bytes(a.GetBytes())), Dim})
	}
	if n := int(l.GetAttributesCount()) - len(l.GetAttributes()); n > 0 {
		f.add("  …", Cell{fmt.Sprintf("%d further attributes are not shown", n), Dim})
	}
}

func traffic(t *gatewayv1.Traffic) string {
	if t.GetMessages() == 0 {
		return ""
	}
	return fmt.Sprintf("%s messages, %s of them DATs, %s", Count(t.GetMessages()), Count(t.GetDats()), Bytes(t.GetBytes()))
}

// longPeer is Peer with all there is.
func longPeer(p *gatewayv1.Peer) string {
	words := []string{p.GetTransport(), p.GetAddress(), p.GetIdentity()}
	if p.GetName() != "" {
		words = append(words, "name "+p.GetName())
	}
	words = append(words, atNode(p))
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// Status is the gateway as a whole. Address is where it was asked.
func Status(s *gatewayv1.GetStatusResponse, address string, now time.Time) *Table {
	t := &facts{}
	t.say("gateway", "%s at %s", s.GetVersion(), address)
	state := Cell{"takes flows", Good}
	if s.GetDraining() {
		state = Cell{"draining: refuses new flows", Bad}
	}
	t.add("state", state)
	t.say("started", "%s, %s ago", moment(s.GetStarted()), since(s.GetStarted(), now))
	t.say("configured", "%s, %s ago", moment(s.GetConfigured()), since(s.GetConfigured(), now))
	t.say("flows", "%s active, %s pending, %s half-closed; at most %s", Count(s.GetActiveFlows()), Count(s.GetPendingFlows()),
		Count(s.GetHalfClosedFlows()), Count(s.GetLimits().GetMaxFlows()))
	t.add("ended", of(Ended(s)))
	t.say("data", "%s messages, %s", Count(s.GetMessages()), Bytes(s.GetBytes()))
	t.say("queued", "%s of %s", Bytes(s.GetQueuedBytes()), Bytes(s.GetLimits().GetMaxBytes()))
	t.say("peers", "%s, and %s listeners", Count(s.GetPeers()), Count(s.GetListeners()))
	if s.GetNode() != "" {
		t.say("node", "%s, which has found %s others", s.GetNode(), Count(s.GetNodes()))
	}
	t.cluster(s.GetCluster(), now)
	t.add("log level", of(s.GetLogLevel()))
	for i, e := range s.GetEndpoints() {
		name := ""
		if i == 0 {
			name = "serves"
		}
		t.say(name, "%s %s (security: %s)", e.GetTransport(), e.GetAddress(), e.GetSecurity())
	}
	return &t.Table
}

// cluster is a line for each node.
func (f *facts) cluster(c *gatewayv1.ClusterStatus, now time.Time) {
	for i, n := range c.GetNodes() {
		name := ""
		if i == 0 {
			name = "cluster"
		}
		words := fmt.Sprintf("%s: node %s at %s, %s flows, %s listeners", c.GetName(), n.GetName(), n.GetAddress(), Count(n.GetFlows()), Count(n.GetListeners()))
		cell := Cell{words, Plain}
		switch silent := now.Sub(n.GetHeard().AsTime()); {
		case n.GetSelf():
			cell.Text += ": this one"
		case n.GetDraining():
			cell = Cell{words + ": draining", Odd}
		case silent > silentNode:
			cell = Cell{words + ": not heard for " + Span(silent), Bad}
		}
		f.add(name, cell)
	}
}

// silentNode is how long a node is not heard that beats twice a second before that is worth
// a word.
const silentNode = 2 * time.Second

// atNode is where a peer of another node is; empty for one of the gateway's own.
func atNode(p *gatewayv1.Peer) string {
	if p.GetNode() == "" {
		return ""
	}
	return "at " + p.GetNode()
}

// Ended is how many flows have ended, by reason, the most frequent first.
func Ended(s *gatewayv1.GetStatusResponse) string {
	reasons := slices.SortedFunc(maps.Keys(s.GetEndedFlows()), func(a, b string) int {
		if d := int64(s.GetEndedFlows()[b]) - int64(s.GetEndedFlows()[a]); d != 0 { //nolint:gosec // far below 2⁶³
			return int(max(-1, min(1, d)))
		}
		return strings.Compare(a, b)
	})
	words := make([]string, 0, len(reasons))
	for _, reason := range reasons {
		words = append(words, Count(s.GetEndedFlows()[reason])+" "+reason)
	}
	return strings.Join(words, ", ")
}
