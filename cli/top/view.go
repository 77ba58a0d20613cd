package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// headLines are above the flows' rows: three of the gateway, one of the filter, the heads.
const headLines = 5

// rows is how many flows there is room for.
func (m *Model) rows() int { return max(1, m.height-headLines-1) }

// View draws it all.
func (m *Model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	return v
}

// lines are as many as the terminal has, none wider than it is.
func (m *Model) lines() []string {
	if m.status == nil {
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
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, m.width, "…")
	}
	return lines
}

func (m *Model) head() []string {
	s := m.status
	state := tables.Paint("takes flows", tables.Good)
	if s.GetDraining() {
		state = tables.Paint("draining", tables.Bad)
	}
	shown := fmt.Sprintf("%s shown", tables.Count(len(m.flows)))
	if m.options.Filter != "" {
		shown += " by filter: " + tables.Printable(m.options.Filter)
	}
	if n := len(s.GetCluster().GetNodes()); n > 0 {
		shown += fmt.Sprintf(", cluster %s of %s nodes", tables.Printable(s.GetCluster().GetName()), tables.Count(n))
	}
	paused := ""
	if m.paused {
		paused = tables.Paint("  paused", tables.Odd)
	}
	return []string{
		tables.Bold("gateway "+tables.Printable(s.GetVersion())) + " at " + tables.Printable(m.source.Address) +
			"  up " + tables.Span(m.at.Sub(s.GetStarted().AsTime())) + "  " + state + paused,
		fmt.Sprintf("flows %s active, %s pending, %s half-closed  peers %s  listeners %s", tables.Count(s.GetActiveFlows()),
			tables.Count(s.GetPendingFlows()), tables.Count(s.GetHalfClosedFlows()), tables.Count(s.GetPeers()), tables.Count(s.GetListeners())),
		fmt.Sprintf("data  %s  %s  %s  queued %s of %s", nothing(tables.Rate(m.rate), "0/s"), nothing(tables.ByteRate(m.bytes), "0 B/s"),
			tables.Sparkline(m.total, 3*trendLength), tables.Bytes(s.GetQueuedBytes()), tables.Bytes(s.GetLimits().GetMaxBytes())),
		tables.Paint(shown, tables.Dim),
	}
}

func nothing(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// body is the table with the rows that there is room for, the selected one among them.
func (m *Model) body() []string {
	position, rows := m.position(), m.rows()
	m.offset = min(max(m.offset, position-rows+1), position)
	shown := m.flows[m.offset:min(m.offset+rows, len(m.flows))]
	trends := make([]string, len(shown))
	for i, f := range shown {
		trends[i] = tables.Sparkline(m.trends[idOf(f)], trendLength)
	}
	text := m.table(shown, trends).Render(0)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if at := position - m.offset + 1; at < len(lines) && len(m.flows) > 0 {
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
	case len(m.silent) > 0:
		return tables.Paint(strings.ReplaceAll(strings.TrimSpace(tables.Unreachable(m.silent)), "\n", "; "), tables.Bad)
	default:
		return tables.Paint("q quit  s sort: "+m.options.Sort+"  f filter  ↑↓ select  ⏎ details  e end  space pause", tables.Dim)
	}
}
