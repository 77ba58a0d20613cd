package top_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zioflow/gateway/cli/top"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a gateway, and a view of it that is driven by hand.
type fake struct {
	*top.Model
	t       *testing.T
	status  *gatewayv1.GetStatusResponse
	flows   []*gatewayv1.Flow
	err     error
	ended   []top.ID
	silent  []*gatewayv1.Unreachable
	filters []string
	ticks   int
}

func newFake(t *testing.T, flows int) *fake {
	f := &fake{t: t, status: &gatewayv1.GetStatusResponse{Version: "1.2.3", Limits: &gatewayv1.Limits{MaxBytes: 1 << 30}}}
	for i := range flows {
		f.flows = append(f.flows, &gatewayv1.Flow{
			Id: uint64(i + 1), State: gatewayv1.FlowState_FLOW_STATE_ACTIVE, Opened: timestamppb.Now(),
			MessagesPerSecond: float64(10 * (i + 1)), BytesPerSecond: float64(1000 * (flows - i)),
			Client: &gatewayv1.Peer{Transport: "grpc", Name: "\x1b[2Jevil"},
		})
	}
	f.Model = top.New(t.Context(), top.Source{
		Address: "here:1",
		Look: func(_ context.Context, filter string) (top.Seen, error) {
			f.filters = append(f.filters, filter)
			return top.Seen{Status: f.status, Flows: append([]*gatewayv1.Flow(nil), f.flows...), Silent: f.silent}, f.err
		},
		Flow: func(_ context.Context, id top.ID) (*gatewayv1.Flow, error) {
			return &gatewayv1.Flow{Id: id.Number, Detail: "all about it"}, f.err
		},
		End: func(_ context.Context, id top.ID) error { f.ended = append(f.ended, id); return f.err },
	}, top.Options{Sort: "rate", Interval: time.Millisecond})
	f.do(f.Init())
	f.Update(tea.WindowSizeMsg{Width: 100, Height: 12})
	return f
}

// do runs a command, and what comes of it but for the next look.
func (f *fake) do(command tea.Cmd) {
	for command != nil {
		message := command()
		if fmt.Sprintf("%T", message) == "top.tick" {
			f.ticks++
			return
		}
		_, command = f.Update(message)
	}
}

// press presses keys: names, or text behind a quote.
func (f *fake) press(keys ...string) {
	f.t.Helper()
	named := map[string]tea.KeyPressMsg{
		"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape},
		"pgdown": {Code: tea.KeyPgDown}, "end": {Code: tea.KeyEnd}, "home": {Code: tea.KeyHome},
		"space": {Code: tea.KeySpace, Text: " "}, "backspace": {Code: tea.KeyBackspace}, "ctrl+u": {Code: 'u', Mod: tea.ModCtrl},
	}
	for _, key := range keys {
		message, is := named[key]
		if !is {
			message = tea.KeyPressMsg{Code: []rune(key)[0], Text: key}
		}
		_, command := f.Update(message)
		f.do(command)
	}
}

// screen is what is seen: as many lines as there are, none too wide.
func (f *fake) screen() []string {
	f.t.Helper()
	lines := strings.Split(f.View().Content, "\n")
	if len(lines) != 12 {
		f.t.Errorf("%d lines of 12", len(lines))
	}
	for i, line := range lines {
		if strings.Contains(line, "\x1b[2J") || ansi.StringWidth(line) > 100 {
			f.t.Errorf("line %d is %q", i, line)
		}
		lines[i] = strings.TrimRight(ansi.Strip(line), " ")
	}
	return lines
}

func (f *fake) sees(line int, words string) {
	f.t.Helper()
	if got := f.screen()[line]; !strings.Contains(strings.Join(strings.Fields(got), " "), words) {
		f.t.Errorf("line %d is %q, want %q", line, got, words)
	}
}

// selected is the id in the row that stands out.
func (f *fake) selected() string {
	for line := range strings.SplitSeq(f.View().Content, "\n") {
		if strings.HasPrefix(line, "\x1b[7m") {
			return strings.Fields(ansi.Strip(line))[0]
		}
	}
	return "none"
}

func TestView(t *testing.T) {
	t.Parallel()
	f := newFake(t, 3)
	f.status.ActiveFlows, f.status.Messages, f.status.Draining = 3, 0, true
	f.sees(0, "gateway 1.2.3 at here:1")
	f.sees(0, "draining")
	f.sees(1, "flows 3 active, 0 pending")
	f.sees(2, "data 0/s 0 B/s")
	f.sees(3, "3 shown")
	f.sees(4, "ID STATE RATE BYTES TREND")
	f.sees(5, "3 active 30/s 1000 B/s █ 0")
	f.sees(5, `grpc \u001b[2Jevil`)
	f.press("s")
	f.sees(5, "1 active 10/s")
	f.sees(11, "s sort: bytes")
}

// TestSelect: the selected flow stays so wherever it moves, and in sight.
func TestSelect(t *testing.T) {
	t.Parallel()
	f := newFake(t, 40)
	if f.selected() != "40" {
		t.Errorf("first, %s is selected", f.selected())
	}
	f.press("down", "down", "s")
	if f.selected() != "38" {
		t.Errorf("%s is selected", f.selected())
	}
	f.sees(10, "38 active")
	f.press("home")
	if f.selected() != "1" {
		t.Errorf("at the top is %s", f.selected())
	}
	f.press("pgdown")
	if f.selected() != "7" {
		t.Errorf("a page further is %s", f.selected())
	}
	f.press("end", "down")
	if f.selected() != "40" {
		t.Errorf("at the end is %s", f.selected())
	}
	f.flows = nil
	f.press("space", "space", "up", "enter", "e")
	f.sees(4, "no flows")
}

func TestFilter(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1)
	f.press("f", "a", "b", "backspace", " ", "=")
	f.sees(11, "filter (CEL): a =█")
	f.press("esc", "f", "x", "ctrl+u", "i", "d", "enter")
	if got := fmt.Sprintf("%q", f.filters); got != `["" "id"]` {
		t.Errorf("the filters were %s", got)
	}
	f.sees(3, "1 shown by filter: id")
	f.err = errors.New("filter: \x1b[2Jno")
	f.press("f", "x", "enter")
	f.sees(11, `filter: \u001b[2Jno`)
	f.sees(5, "1 active") // what was there stays
}

// TestEnd: it asks, and anything but y is no.
func TestEnd(t *testing.T) {
	t.Parallel()
	f := newFake(t, 3)
	f.press("down", "e")
	f.sees(11, "End flow 2? [y/N]")
	f.press("enter")
	if len(f.ended) != 0 {
		t.Fatalf("ended was %v", f.ended)
	}
	f.press("e", "y")
	if fmt.Sprint(f.ended) != "[{ 2}]" {
		t.Errorf("ended was %v", f.ended)
	}
	f.err = errors.New("it has ended already")
	f.press("e", "y")
	f.sees(11, "flow 2: it has ended already")
}

// TestNodes: flows of two nodes may have one number, and are two; a node that does not answer
// is told of.
func TestNodes(t *testing.T) {
	t.Parallel()
	f := newFake(t, 2)
	f.status.Cluster = &gatewayv1.ClusterStatus{Name: "lab", Nodes: make([]*gatewayv1.ClusterNode, 3)}
	f.flows[0].Id, f.flows[1].Id, f.flows[0].Node, f.flows[1].Node = 7, 7, "a", "b"
	f.silent = []*gatewayv1.Unreachable{{Node: "c", Reason: "nothing has come"}}
	f.press("space", "space") // which looks again
	f.sees(3, "2 shown, cluster lab of 3 nodes")
	f.sees(11, "node c does not answer: nothing has come")
	f.press("home", "e", "y", "down", "e", "y")
	if fmt.Sprint(f.ended) != "[{b 7} {a 7}]" {
		t.Errorf("ended was %v", f.ended)
	}
}

func TestDetailAndPause(t *testing.T) {
	t.Parallel()
	f := newFake(t, 3)
	f.press("enter")
	f.sees(4, "flow 3")
	f.sees(6, "detail all about it")
	f.press("x")
	f.sees(4, "ID STATE")
	looks := len(f.filters)
	f.press("space")
	f.sees(0, "paused")
	if f.ticks == 0 || len(f.filters) != looks {
		t.Errorf("%d ticks, %d looks", f.ticks, len(f.filters)-looks)
	}
	f.press("space")
	if len(f.filters) != looks+1 {
		t.Errorf("%d looks after the pause", len(f.filters)-looks)
	}
}

// TestRun: it ends with its context, and gives the terminal back.
func TestRun(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	out := &strings.Builder{}
	time.AfterFunc(0, cancel)
	if err := top.Run(ctx, f.Model, tea.WithInput(strings.NewReader("")), tea.WithOutput(out)); err != nil {
		t.Error(err)
	}
}

func BenchmarkView10000(b *testing.B) {
	flows := make([]*gatewayv1.Flow, 10_000)
	for i := range flows {
		flows[i] = &gatewayv1.Flow{Id: uint64(i), Opened: timestamppb.Now(), BytesPerSecond: float64(i * 7 % 1000)}
	}
	m := top.New(b.Context(), top.Source{Look: func(context.Context, string) (top.Seen, error) {
		return top.Seen{Status: &gatewayv1.GetStatusResponse{}, Flows: append([]*gatewayv1.Flow(nil), flows...)}, nil
	}}, top.Options{Sort: "bytes"})
	for b.Loop() {
		m.Update(m.Init()())
		_ = m.View()
	}
}
