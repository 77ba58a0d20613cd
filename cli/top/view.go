package top

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// headLines are above the flows' rows: three of the gateway, one of the filter, the heads;
// footLines below: one for a selected flow that is on another page, one of the keys.
const (
	headLines = 5
	footLines = 2
)

// rows is how many flows there is room for.
func (m *Model) rows() int { return max(1, m.height-headLines-footLines) }

// View draws it all.
func (m *Model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	return v
}

// lines are as many as the terminal has (at most, before the first look), none wider than it is.
func (m *Model) lines() []string {
	if m.seen.Status == nil {
		text := "asking " + m.source.Address + " …"
		if m.failure != "" {
			text = tables.Paint(tables.Printable(m.failure), tables.Bad)
		}
		return m.fitted([]string{text, "", "q quit"})
	}
	lines := m.head()
	if m.mode == detailing && m.detail != nil {
		lines = append(lines, strings.Split(strings.TrimSuffix(tables.Flow(m.detail, m.at).Render(m.width), "\n"), "\n")...)
	} else {
		lines = append(lines, m.body()...)
	}
	lines = lines[:min(len(lines), m.height-1)]
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	return m.fitted(append(lines, m.foot()))
}

func (m *Model) fitted(lines []string) []string {
	lines = lines[:min(len(lines), m.height)]
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, m.width, "…")
	}
	return lines
}

func (m *Model) head() []string {
	s, sums := m.seen.Status, &m.sums
	paused := ""
	if m.paused {
		paused = tables.Paint("  paused", tables.Odd)
	}
	return []string{
		tables.Bold("gateway "+tables.Printable(s.GetVersion())) + " at " + tables.Printable(m.source.Address) +
			"  up " + tables.Span(m.at.Sub(s.GetStarted().AsTime())) + "  " + m.state() + paused,
		fmt.Sprintf("flows %s active, %s pending, %s half-closed  peers %s  listeners %s", tables.Count(sums.active),
			tables.Count(sums.pending), tables.Count(sums.halfClosed), tables.Count(sums.peers), tables.Count(sums.listeners)),
		fmt.Sprintf("data  %s  %s  %s  queued %s of %s", nothing(tables.Rate(m.rate), "0/s"), nothing(tables.ByteRate(m.bytes), "0 B/s"),
			tables.Sparkline(m.total, 3*trendLength), tables.Bytes(sums.queued), tables.Bytes(sums.most)),
		tables.Paint(m.shown(), tables.Dim),
	}
}

// state is whether new flows are taken, and by how many nodes of a cluster.
func (m *Model) state() string {
	switch draining, nodes := m.sums.draining, len(m.sums.moved); {
	case draining == 0:
		return tables.Paint("takes flows", tables.Good)
	case draining < nodes:
		return tables.Paint(fmt.Sprintf("%s of %s nodes drain", tables.Count(draining), tables.Count(nodes)), tables.Odd)
	default:
		return tables.Paint("draining", tables.Bad)
	}
}

// shown is which flows are shown, and of which nodes they and the sums are.
func (m *Model) shown() string {
	n := uint64(len(m.seen.Flows))
	text := fmt.Sprintf("%s shown", tables.Count(n))
	if n < m.seen.Total {
		text = fmt.Sprintf("%s to %s of %s shown", tables.Count(m.seen.Preceding+1), tables.Count(m.seen.Preceding+n), tables.Count(m.seen.Total))
	}
	if m.options.Filter != "" {
		text += " by filter: " + tables.Printable(m.options.Filter)
	}
	c := m.seen.Status.GetCluster()
	if c == nil || !m.sums.cluster {
		return text
	}
	answered, silent := len(m.sums.moved), m.silent()
	nodes := tables.Count(answered) + " nodes"
	if answered == 1 {
		nodes = "1 node"
	}
	if len(silent) > 0 {
		names := make([]string, len(silent))
		for i, u := range silent {
			names[i] = tables.Printable(u.GetNode())
		}
		nodes += ", without " + strings.Join(names, ", ")
	}
	return text + ", cluster " + tables.Printable(c.GetName()) + ": " + nodes
}

// silent are the nodes that have not answered, each once.
func (m *Model) silent() []*gatewayv1.Unreachable {
	all := append(slices.Clone(m.seen.Status.GetUnreachable()), m.seen.Silent...)
	known := map[string]bool{}
	return slices.DeleteFunc(all, func(u *gatewayv1.Unreachable) bool {
		was := known[u.GetNodeId()]
		known[u.GetNodeId()] = true
		return was
	})
}

func nothing(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// body is the table with the rows that there is room for, the selected one among them; if it
// is on another page, at the foot.
func (m *Model) body() []string {
	position, rows, page := m.position(), m.rows(), m.seen.Flows
	kept := position == len(page) && m.seen.Kept != nil
	if !kept {
		m.offset = min(max(m.offset, position-rows+1), position)
	}
	m.offset = max(0, min(m.offset, len(page)-1))
	shown := slices.Clone(page[min(m.offset, len(page)):min(m.offset+rows, len(page))])
	if m.seen.Kept != nil {
		shown = append(shown, m.seen.Kept)
	}
	trends := make([]string, len(shown))
	for i, f := range shown {
		trends[i] = tables.Sparkline(m.trends[IDOf(f)], trendLength)
	}
	text := m.table(shown, trends).Render(0)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	at := position - m.offset + 1
	if m.seen.Kept != nil {
		own := lines[len(lines)-1]
		for lines = lines[:len(lines)-1]; len(lines) <= rows; {
			lines = append(lines, "")
		}
		if lines = append(lines, own); kept {
			at = len(lines) - 1
		}
	}
	if at < len(lines) && len(shown) > 0 {
		plain := ansi.Truncate(ansi.Strip(lines[at]), m.width, "…")
		lines[at] = ansi.NewStyle().Reverse(true).Styled(plain + strings.Repeat(" ", max(0, m.width-ansi.StringWidth(plain))))
	}
	return lines
}

func (m *Model) table(flows []*gatewayv1.Flow, trends []string) *tables.Table {
	t := tables.Flows(flows, m.at)
	t.Insert("BYTES", "TREND", trends)
	return t
}

func (m *Model) foot() string {
	switch {
	case m.mode == filtering:
		return "filter (CEL): " + tables.Printable(m.typed) + "█"
	case m.mode == ending:
		return tables.Paint(fmt.Sprintf("End flow %d? [y/N]", m.selected.Number), tables.Odd)
	case m.mode == detailing:
		return tables.Paint("any key: back", tables.Dim)
	case m.failure != "":
		return tables.Paint(tables.Printable(m.failure), tables.Bad)
	case len(m.silent()) > 0:
		return tables.Paint(strings.ReplaceAll(strings.TrimSpace(tables.Unreachable(m.silent())), "\n", "; "), tables.Bad)
	default:
		return tables.Paint("q quit  s sort: "+m.options.Sort+"  f filter  ↑↓ select  ⏎ details  e end  space pause", tables.Dim)
	}
}
