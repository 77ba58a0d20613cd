// Package top is a live view of a gateway's flows: who moves what, and who holds it up. It
// knows a gateway by three functions, and is drawn from what they returned last.
package top

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Source is the gateway. Its functions are called aside from the view, several of them at once
// where one looks anew or presses a key before the last call has returned.
type Source struct {
	// Address is where it is, for the title.
	Address string
	// Look returns what it has now.
	Look func(ctx context.Context, q Query) (Seen, error)
	// Flow returns all about a flow.
	Flow func(ctx context.Context, id ID) (*gatewayv1.Flow, error)
	// End ends a flow.
	End func(ctx context.Context, id ID) error
}

// Query is which flows a look is for, of those that have not ended.
type Query struct {
	// Filter is a CEL expression that has to be true for them; empty for all.
	Filter string
	// Sort is their order: one of Sorts. Backward, they come the other way round.
	Sort     string
	Backward bool
	// Page is where to go on: Next of an earlier look; empty to begin with the first one.
	Page string
	// Rows is how many, at the most.
	Rows int
	// Keep is a flow that is shown in any case while it goes on; none if its number is 0.
	Keep ID
}

// Seen is what a look has shown.
type Seen struct {
	Status *gatewayv1.GetStatusResponse
	// Flows are those that were asked for, Next is where more of them begin; empty if none do.
	Flows []*gatewayv1.Flow
	Next  string
	// Total is how many there are on all pages, Preceding how many come before these.
	Total, Preceding uint64
	// Kept is the one to keep, where it is not among Flows; nil if it is, or has ended.
	Kept *gatewayv1.Flow
	// Silent are nodes of a cluster that have not answered.
	Silent []*gatewayv1.Unreachable
}

// ID is a flow: its number, at its node.
type ID struct {
	Node   string
	Number uint64
}

// IDOf is a flow's.
func IDOf(f *gatewayv1.Flow) ID { return ID{f.GetNode(), f.GetId()} }

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
	seen          Seen             // of the last look that did not fail; its Status is nil before
	sums          sums             // of Status
	at            time.Time        // of the look
	failure       string           // of the last look or deed; empty for none
	rate, bytes   float64          // of the gateway, or of all nodes
	total         []float64        // bytes each second, of the last looks
	trends        map[ID][]float64 // likewise, of each flow that was shown in one of them

	pages    []string // where the pages before and this one begin, but for the first
	backward bool     // pages are counted from the last one
	arrival  arrival  // which flow of the next look to select

	mode     mode
	typed    string // in modes that ask
	selected ID     // a flow; none for the first
	offset   int    // of the first row that is shown
	detail   *gatewayv1.Flow
	paused   bool
	looks    int // number of the look that is awaited; others are late and not taken
	asked    int // rows of that look
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
	m.asked = m.rows()
	number, query := m.looks, Query{Filter: m.options.Filter, Sort: m.options.Sort, Backward: m.backward, Rows: m.asked, Keep: m.selected}
	if len(m.pages) > 0 {
		query.Page = m.pages[len(m.pages)-1]
	}
	return func() tea.Msg {
		begin := m.now()
		seen, err := m.source.Look(m.context, query)
		at := m.now()
		return look{number, seen, err, at, at.Sub(begin)}
	}
}

// Update takes what has come.
func (m *Model) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch message := message.(type) {
	case tea.WindowSizeMsg:
		if message.Width <= 0 || message.Height <= 0 {
			break // what is no terminal, or does not know its size
		}
		if m.width, m.height = message.Width, message.Height; m.rows() != m.asked {
			return m, m.look()
		}
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
			if again := m.take(message); again {
				return m, m.look()
			}
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

// take has a look be the one that is shown; one that failed leaves the last one. It tells
// whether another look is needed for there to be a whole page.
func (m *Model) take(l look) (again bool) {
	m.failure = ""
	if l.err != nil {
		m.failure = l.err.Error()
		return false
	}
	switch {
	case m.backward && l.Next == "": // the first page, from the other end
		m.backward, m.pages, again = false, nil, true
	case len(l.Flows) == 0 && len(m.pages) > 0: // there are no more so many
		m.pages = m.pages[:len(m.pages)-1]
		return true
	}
	if m.backward || again {
		slices.Reverse(l.Flows)
		l.Preceding = l.Total - min(l.Total, l.Preceding+uint64(len(l.Flows)))
	}
	before, passed := m.sums, l.at.Sub(m.at).Seconds()
	m.sums = sumsOf(l.Status)
	if m.seen.Status != nil && passed > 0 {
		messages, bytes := m.sums.since(before)
		m.rate, m.bytes = float64(messages)/passed, float64(bytes)/passed
		m.total = longer(m.total, m.bytes, 3*trendLength)
	}
	m.seen, m.at = l.Seen, l.at
	m.goOn()
	m.arrive()
	return again
}

// goOn has trends go on. A flow that is on another page has a gap in its own, until that is all
// that there is.
func (m *Model) goOn() {
	now := make(map[ID]float64, len(m.seen.Flows)+1)
	for _, f := range m.flows() {
		now[IDOf(f)] = f.GetBytesPerSecond()
		if m.trends[IDOf(f)] == nil {
			m.trends[IDOf(f)] = []float64{}
		}
	}
	for id, trend := range m.trends {
		value, shown := now[id]
		if !shown {
			value = math.NaN()
		}
		if trend = longer(trend, value, trendLength); slices.ContainsFunc(trend, func(v float64) bool { return !math.IsNaN(v) }) {
			m.trends[id] = trend
		} else {
			delete(m.trends, id)
		}
	}
}

// flows are those that are shown: a page, and behind it the selected one if it is on another.
func (m *Model) flows() []*gatewayv1.Flow {
	if m.seen.Kept == nil {
		return m.seen.Flows
	}
	return append(slices.Clip(m.seen.Flows), m.seen.Kept)
}

// longer is a series with one more value, and the first one gone if it has too many.
func longer(series []float64, value float64, most int) []float64 {
	if len(series) >= most {
		series = slices.Clone(series[len(series)-most+1:])
	}
	return append(series, value)
}

// arrival is which flow is selected when a page comes.
type arrival int

const (
	stay arrival = iota // the one that was
	first
	last
)

// arrive selects a flow of a page that has come.
func (m *Model) arrive() {
	if flows := m.seen.Flows; m.arrival != stay && len(flows) > 0 {
		m.selected, m.seen.Kept = IDOf(flows[0]), nil
		if m.arrival == last {
			m.selected = IDOf(flows[len(flows)-1])
		}
	}
	m.arrival = stay
}

// begin goes to the first page, or to the last one.
func (m *Model) begin(backward bool, a arrival) tea.Cmd {
	m.pages, m.backward, m.arrival = nil, backward, a
	if a != stay {
		m.selected = ID{}
	}
	return m.look()
}

// turn goes to the next page, or to the one before, and selects a flow of it; nil if there is none.
func (m *Model) turn(forward bool, a arrival) tea.Cmd {
	switch {
	case forward != m.backward && m.seen.Next != "":
		m.pages = append(m.pages, m.seen.Next)
	case forward == m.backward && len(m.pages) > 0:
		m.pages = m.pages[:len(m.pages)-1]
	default:
		return nil
	}
	m.arrival, m.selected = a, ID{}
	return m.look()
}

// position is the selected flow's among those that are shown; the first one's if that has gone.
func (m *Model) position() int {
	return max(0, slices.IndexFunc(m.flows(), func(f *gatewayv1.Flow) bool { return IDOf(f) == m.selected }))
}

// current is the selected flow; nil if there is none.
func (m *Model) current() *gatewayv1.Flow {
	if flows := m.flows(); len(flows) > 0 {
		return flows[m.position()]
	}
	return nil
}

// move selects another flow of those that are shown.
func (m *Model) move(to int) {
	if flows := m.flows(); len(flows) > 0 {
		m.selected = IDOf(flows[min(max(to, 0), len(flows)-1)])
	}
}

// step selects the flow above or below, on another page if need be.
func (m *Model) step(by int) tea.Cmd {
	to, edge := m.position()+by, first
	if by < 0 {
		edge = last
	}
	if to < 0 || to >= len(m.flows()) {
		return m.turn(by > 0, edge)
	}
	m.move(to)
	return nil
}

// leaf goes a page further, or to this one's end if there is no other.
func (m *Model) leaf(forward bool) tea.Cmd {
	if turned := m.turn(forward, first); turned != nil {
		return turned
	}
	to := 0
	if forward {
		to = len(m.seen.Flows) - 1
	}
	m.move(to)
	return nil
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
		return m.step(-1)
	case "down", "j":
		return m.step(1)
	case "pgup":
		return m.leaf(false)
	case "pgdown":
		return m.leaf(true)
	case "home":
		return m.begin(false, first)
	case "end":
		return m.begin(true, last)
	case "s":
		sorts := Sorts()
		m.options.Sort = sorts[(slices.Index(sorts, m.options.Sort)+1)%len(sorts)]
		return m.begin(false, stay)
	case "space":
		if m.paused = !m.paused; !m.paused {
			return m.look()
		}
	case "f":
		m.mode, m.typed = filtering, m.options.Filter
	case "e":
		if m.current() != nil {
			m.selected, m.mode = IDOf(m.current()), ending
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
	m.selected, m.mode, m.detail = IDOf(f), detailing, f
	return func() tea.Msg {
		detail, err := m.source.Flow(m.context, IDOf(f))
		return deed{detail: detail, err: err}
	}
}

func (m *Model) filterKey(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		m.mode = listing
	case "enter":
		m.mode, m.options.Filter = listing, m.typed
		m.selected = ID{}
		return m.begin(false, stay)
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
