// Package tables is how a gateway's state looks on a terminal: the contract's messages as
// rows and words. It is pure: no connection, no clock, no terminal. Whatever others have
// written is made printable here, so that nobody can steer the terminal of an operator.
package tables

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Mood is what a reader's eye should make of a cell.
type Mood int

// The moods.
const (
	Plain Mood = iota
	Good
	Odd // worth a look
	Bad
	Dim
)

var styles = map[Mood]ansi.Style{
	Good: ansi.NewStyle().ForegroundColor(ansi.Green),
	Odd:  ansi.NewStyle().ForegroundColor(ansi.Yellow),
	Bad:  ansi.NewStyle().ForegroundColor(ansi.Red),
	Dim:  ansi.NewStyle().Faint(),
}

// Bold is a text, which has to be printable, as it stands in heads.
func Bold(s string) string { return ansi.NewStyle().Bold().Styled(s) }

// Paint is a text, which has to be printable, as its mood has it look.
func Paint(s string, m Mood) string {
	if style, has := styles[m]; has && s != "" {
		return style.Styled(s)
	}
	return s
}

// Cell is one field of a table. Its text need not be printable.
type Cell struct {
	Text string
	Mood Mood
}

// of is a cell without a mood.
func of(s string) Cell { return Cell{Text: s} }

// Column is a column's head, and how its cells stand.
type Column struct {
	Name  string
	Right bool // as numbers do
}

// Table is rows under heads, or facts without.
type Table struct {
	// Title stands above it; may be empty.
	Title   string
	Columns []Column // none: no heads
	Rows    [][]Cell
	// Empty is what is said of no rows.
	Empty string
}

// Insert puts a column behind the one of a name, with a text for each row.
func (t *Table) Insert(behind, name string, texts []string) {
	at := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == behind }) + 1
	t.Columns = slices.Insert(t.Columns, at, Column{Name: name})
	for i := range t.Rows {
		t.Rows[i] = slices.Insert(t.Rows[i], at, of(texts[i]))
	}
}

// longCell is how wide a cell becomes where the width is not bounded.
const longCell = 120

// Render is the table as lines, cut to a width in columns; 0 is no bound. Colours are escape
// sequences, which a terminal that has none has to be spared. A column in which nothing
// stands is left out.
func (t *Table) Render(width int) string {
	var out strings.Builder
	if t.Title != "" {
		out.WriteString(Bold(t.Title) + "\n")
	}
	if len(t.Rows) == 0 {
		if t.Empty != "" {
			out.WriteString(t.Empty + "\n")
		}
		return out.String()
	}
	out.WriteString(fitted(t.render(), width))
	return out.String()
}

func (t *Table) render() string {
	shown := t.shown()
	w := table.NewWriter()
	style := table.Style{Name: "plain", Box: table.StyleBoxDefault, Options: table.OptionsNoBordersAndSeparators}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	w.SetStyle(style)
	configs := make([]table.ColumnConfig, len(shown))
	head := make(table.Row, len(shown))
	for i, column := range shown {
		configs[i] = table.ColumnConfig{Number: i + 1, AlignHeader: text.AlignLeft}
		if len(t.Columns) == 0 {
			continue
		}
		head[i] = Bold(t.Columns[column].Name)
		if t.Columns[column].Right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	w.SetColumnConfigs(configs)
	if len(t.Columns) > 0 {
		w.AppendHeader(head)
	}
	for _, cells := range t.Rows {
		row := make(table.Row, len(shown))
		for i, column := range shown {
			row[i] = Paint(Cut(Printable(cells[column].Text), longCell), cells[column].Mood)
		}
		w.AppendRow(row)
	}
	return w.Render()
}

// shown are the columns in which something stands.
func (t *Table) shown() []int {
	var shown []int
	for column := range t.Rows[0] {
		if slices.ContainsFunc(t.Rows, func(row []Cell) bool { return row[column].Text != "" }) {
			shown = append(shown, column)
		}
	}
	return shown
}

// fitted is lines without the spaces at their ends, cut to a width; 0 is no bound.
func fitted(s string, width int) string {
	var b strings.Builder
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimRight(line, " ")
		if width > 0 && len(line) > width { // a column has one byte at least
			line = ansi.Truncate(line, width, "…")
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}
