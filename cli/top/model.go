// Package top is a live view of a gateway's flows: who moves what, and who holds it up. It
// knows a gateway by three functions, and is drawn from what they returned last.
package top

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Source is the gateway. Its functions are called one after the other, aside from the view.
type Source struct {
	// Address is where it is, for the title.
	Address string
	// Look returns what it has now: the flows that have not ended and for which the filter,
	// a CEL expression, is true; all for an empty one.
	Look func(ctx context.Context, filter string) (Seen, error)
	// Flow returns all about a flow.
	Flow func(ctx context.Context, id ID) (*gatewayv1.Flow, error)
	// End ends a flow.
	End func(ctx context.Context, id ID) error
}

// Seen is what a look has shown.
type Seen struct {
	Status *gatewayv1.GetStatusResponse
	Flows  []*gatewayv1.Flow
	// Silent are nodes of a cluster that have not answered.
	Silent []*gatewayv1.Unreachable
}

// ID is a flow: its number, at its node.
type ID struct {
	Node   string
	Number uint64
}

func idOf(f *gatewayv1.Flow) ID { return ID{f.GetNode(), f.GetId()} }

// Options are how a view begins.
type Options struct {
	Filter   string
	Sort     string // one of Sorts
	Interval time.Duration
}

// Sorts are what flows can be sorted by, the greatest first.
func Sorts() []string { return []string{"rate", "bytes", "age", "taker", "id"} }

// trendLength is how many looks a sparkline shows.
const trendLength = 10

// share is the part of its time for which a view asks its gateway, at the most: with so many
// flows that a look takes long, looks are further apart.
const share = 10

// Model is the view's state. It implements tea.Model.
type Model struct {
	source  Source
	context context.Context
	options Options
	now     func() time.Time

	width, height int
	status        *gatewayv1.GetStatusResponse // nil before the first look
	flows         []*gatewayv1.Flow            // sorted
	silent        []*gatewayv1.Unreachable     // nodes that had not answered
	at            time.Time                    // of the look
	failure       string                       // of the last look or deed; empty for none
	rate, bytes   float64                      // of the gateway
	total         []float64                    // bytes each second, of the last looks
	trends        map[ID][]float64             // likewise, of each flow

	mode     mode
	typed    string // in modes that ask
	selected ID     // a flow; none for the first
	offset   int    // of the first row that is shown
	detail   *gatewayv1.Flow
	paused   bool
	looks    int // number of the look that is awaited; others are late and not taken
}

// mode is what keys do.
type mode int

const (
	listing mode = iota
	filtering
	ending
	detailing
)

// New makes a view. Looks and deeds end with the context.
func New(ctx context.Context, source Source, o Options) *Model {
	return &Model{source: source, context: ctx, options: o, now: time.Now, trends: map[ID][]float64{}, width: 80, height: 24}
}

// Run draws a view until its user or its context ends it.
func Run(ctx context.Context, m *Model, options ...tea.ProgramOption) error {
	_, err := tea.NewProgram(m, append(options, tea.WithoutSignalHandler(), tea.WithContext(ctx))...).Run()
	if ctx.Err() != nil {
		return nil // that is how watching ends
	}
	return err
}

type (
	// look is what the gateway had.
	look struct {
		number int
		Seen
		err  error
		at   time.Time
		took time.Duration
	}
	// tick asks for the look of that number.
	tick int
	// deed is what came of ending a flow, or of looking at one.
	deed struct {
		detail *gatewayv1.Flow
		err    error
	}
)

// Init asks for the first look.
func (m *Model) Init() tea.Cmd { return m.look() }

// look asks the gateway anew; whatever was asked before is late.
func (m *Model) look() tea.Cmd {
	m.looks++
	number, filter := m.looks, m.options.Filter
	return func() tea.Msg {
		begin := m.now()
		seen, err := m.source.Look(m.context, filter)
		at := m.now()
		return look{number, seen, err, at, at.Sub(begin)}
	}
}

// Update takes what has come.
func (m *Model) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch message := message.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = message.Width, message.Height
	case tea.KeyPressMsg:
		return m, m.key(message)
	case tea.PasteMsg:
		if m.mode == filtering {
			m.typed += tables.Printable(message.Content)
		}
	case tick:
		if int(message) == m.looks && !m.paused {
			return m, m.look()
		}
	case look:
		if message.number == m.looks {
			m.take(message)
			wait := max(m.options.Interval, share*message.took)
			return m, tea.Tick(wait, func(time.Time) tea.Msg { return tick(message.number) })
		}
	case deed:
		return m, m.done(message)
	}
	return m, nil
}

func (m *Model) done(d deed) tea.Cmd {
	switch {
	case d.err != nil:
		m.failure, m.mode = d.err.Error(), listing
	case d.detail != nil:
		m.detail = d.detail
	default:
		return m.look()
	}
	return nil
}

// take has a look be the one that is shown; one that failed leaves the last one.
func (m *Model) take(l look) {
	m.failure = ""
	if l.err != nil {
		m.failure = l.err.Error()
		return
	}
	if passed := l.at.Sub(m.at).Seconds(); m.status != nil && passed > 0 && l.Status.GetMessages() >= m.status.GetMessages() {
		m.rate = float64(l.Status.GetMessages()-m.status.GetMessages()) / passed
		m.bytes = float64(l.Status.GetBytes()-m.status.GetBytes()) / passed
		m.total = longer(m.total, m.bytes, 3*trendLength)
	}
	m.status, m.flows, m.silent, m.at = l.Status, l.Flows, l.Silent, l.at
	trends := make(map[ID][]float64, len(l.Flows))
	for _, f := range l.Flows {
		trends[idOf(f)] = longer(m.trends[idOf(f)], f.GetBytesPerSecond(), trendLength)
	}
	m.trends = trends
	m.sort()
}

// longer is a series with one more value, and the first one gone if it has too many.
func longer(series []float64, value float64, most int) []float64 {
	if len(series) >= most {
		series = slices.Clone(series[len(series)-most+1:])
	}
	return append(series, value)
}

func (m *Model) sort() {
	slices.SortStableFunc(m.flows, func(a, b *gatewayv1.Flow) int {
		order := 0
		switch m.options.Sort {
		case "rate":
			order = cmp.Compare(b.GetMessagesPerSecond(), a.GetMessagesPerSecond())
		case "bytes":
			order = cmp.Compare(b.GetBytesPerSecond(), a.GetBytesPerSecond())
		case "age":
			order = a.GetOpened().AsTime().Compare(b.GetOpened().AsTime())
		case "taker":
			order = cmp.Compare(b.GetWaits().GetTakerShare(), a.GetWaits().GetTakerShare())
		}
		return cmp.Or(order, cmp.Compare(a.GetNode(), b.GetNode()), cmp.Compare(b.GetId(), a.GetId()))
	})
}

// position is the selected flow's; the first one's if that has gone.
func (m *Model) position() int {
	return max(0, slices.IndexFunc(m.flows, func(f *gatewayv1.Flow) bool { return idOf(f) == m.selected }))
}

// current is the selected flow; nil if there is none.
func (m *Model) current() *gatewayv1.Flow {
	if len(m.flows) == 0 {
		return nil
	}
	return m.flows[m.position()]
}

func (m *Model) move(by int) {
	if len(m.flows) > 0 {
		m.selected = idOf(m.flows[min(max(m.position()+by, 0), len(m.flows)-1)])
	}
}

// key is what a key does.
func (m *Model) key(k tea.KeyPressMsg) tea.Cmd {
	if k.String() == "ctrl+c" {
		return tea.Quit
	}
	switch m.mode {
	case filtering:
		return m.filterKey(k)
	case ending:
		return m.endKey(k)
	case detailing:
		m.mode, m.detail = listing, nil
		return nil
	}
	switch k.String() {
	case "q":
		return tea.Quit
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-m.rows())
	case "pgdown":
		m.move(m.rows())
	case "home":
		m.move(-len(m.flows))
	case "end":
		m.move(len(m.flows))
	case "s":
		sorts := Sorts()
		m.options.Sort = sorts[(slices.Index(sorts, m.options.Sort)+1)%len(sorts)]
		m.sort()
	case "space":
		if m.paused = !m.paused; !m.paused {
			return m.look()
		}
	case "f":
		m.mode, m.typed = filtering, m.options.Filter
	case "e":
		if m.current() != nil {
			m.selected, m.mode = idOf(m.current()), ending
		}
	case "enter":
		return m.openDetail()
	}
	return nil
}

func (m *Model) openDetail() tea.Cmd {
	f := m.current()
	if f == nil {
		return nil
	}
	m.selected, m.mode, m.detail = idOf(f), detailing, f
	return func() tea.Msg {
		detail, err := m.source.Flow(m.context, idOf(f))
		return deed{detail: detail, err: err}
	}
}

func (m *Model) filterKey(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		m.mode = listing
	case "enter":
		m.mode, m.options.Filter = listing, m.typed
		return m.look()
	case "backspace":
		if runes := []rune(m.typed); len(runes) > 0 {
			m.typed = string(runes[:len(runes)-1])
		}
	case "ctrl+u":
		m.typed = ""
	default:
		m.typed += k.Text
	}
	return nil
}

func (m *Model) endKey(k tea.KeyPressMsg) tea.Cmd {
	m.mode = listing
	if k.String() != "y" {
		return nil
	}
	id := m.selected
	return func() tea.Msg {
		if err := m.source.End(m.context, id); err != nil {
			return deed{err: fmt.Errorf("flow %d: %w", id.Number, err)}
		}
		return deed{}
	}
}
