package top_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	looking sync.Mutex // a program looks anew while it awaits a look
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
		Look:    func(_ context.Context, q top.Query) (top.Seen, error) { return f.look(q), f.err },
		Flow: func(_ context.Context, id top.ID) (*gatewayv1.Flow, error) {
			return &gatewayv1.Flow{Id: id.Number, Detail: "all about it"}, f.err
		},
		End: func(_ context.Context, id top.ID) error { f.ended = append(f.ended, id); return f.err },
	}, top.Options{Sort: "rate", Interval: time.Millisecond})
	f.do(f.Init())
	_, command := f.Update(tea.WindowSizeMsg{Width: 100, Height: 12})
	f.do(command)
	return f
}

// look is what a gateway returns: pages go on behind a number of flows.
func (f *fake) look(q top.Query) top.Seen {
	f.looking.Lock()
	defer f.looking.Unlock()
	f.filters = append(f.filters, q.Filter)
	all := slices.Clone(f.flows)
	slices.SortStableFunc(all, func(a, b *gatewayv1.Flow) int {
		if q.Sort == "bytes" {
			return cmp.Compare(b.GetBytesPerSecond(), a.GetBytesPerSecond())
		}
		return cmp.Compare(b.GetMessagesPerSecond(), a.GetMessagesPerSecond())
	})
	if q.Backward {
		slices.Reverse(all)
	}
	from, _ := strconv.Atoi(q.Page)
	from = min(from, len(all))
	to := min(from+q.Rows, len(all))
	seen := top.Seen{Status: f.status, Flows: all[from:to], Silent: f.silent, Total: uint64(len(all)), Preceding: uint64(from)}
	if to < len(all) {
		seen.Next = strconv.Itoa(to)
	}
	is := func(flow *gatewayv1.Flow) bool { return top.IDOf(flow) == q.Keep }
	if i := slices.IndexFunc(all, is); i >= 0 && !slices.ContainsFunc(seen.Flows, is) {
		seen.Kept = all[i]
	}
	return seen
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
		"pgdown": {Code: tea.KeyPgDown}, "pgup": {Code: tea.KeyPgUp}, "end": {Code: tea.KeyEnd}, "home": {Code: tea.KeyHome},
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
	f.press("space", "space") // which looks again
	f.sees(0, "gateway 1.2.3 at here:1")
	f.sees(0, "draining")
	f.sees(1, "flows 3 active, 0 pending")
	f.sees(2, "data 0/s 0 B/s")
	f.sees(3, "3 shown")
	f.sees(4, "ID STATE RATE BYTES TREND")
	f.sees(5, "3 active 30/s 1000 B/s ███ 0")
	f.sees(5, `grpc \u001b[2Jevil`)
	f.press("s")
	f.sees(5, "1 active 10/s")
	f.sees(11, "s sort: bytes")
}

// TestSelect: the selected flow stays so wherever it moves, and in sight.
func TestSelect(t *testing.T) {
	t.Parallel()
	f := newFake(t, 40)
	f.wants("40", "40 39 38 37 36")
	f.press("down", "down", "s") // by bytes, 38 is on the last page but one
	f.wants("38", "1 2 3 4 5 38")
	f.sees(3, "1 to 5 of 40 shown")
	f.sees(10, "38 active")
	f.press("up")
	f.wants("5", "1 2 3 4 5 38")
	f.press("space", "space")
	f.wants("5", "1 2 3 4 5")
	f.flows = nil
	f.press("space", "space", "up", "enter", "e", "pgdown", "end", "home")
	f.sees(4, "no flows")
	f.sees(11, "q quit")
}

// TestPages: only what is shown is asked for, and keys go on from page to page, whichever end
// they are counted from.
func TestPages(t *testing.T) {
	t.Parallel()
	f := newFake(t, 12)
	f.wants("12", "12 11 10 9 8")
	f.press("down", "down", "down", "down", "down")
	f.wants("7", "7 6 5 4 3")
	f.sees(3, "6 to 10 of 12 shown")
	f.press("pgdown")
	f.wants("2", "2 1")
	f.press("down", "down", "pgdown")
	f.wants("1", "2 1")
	f.press("pgup")
	f.wants("7", "7 6 5 4 3")
	f.press("up")
	f.wants("8", "12 11 10 9 8")
	f.press("up", "pgup", "pgup")
	f.wants("12", "12 11 10 9 8")
	f.press("end")
	f.wants("1", "5 4 3 2 1")
	f.sees(3, "8 to 12 of 12 shown")
	f.press("down")
	f.wants("1", "5 4 3 2 1")
	f.press("pgup")
	f.wants("10", "10 9 8 7 6")
	f.sees(3, "3 to 7 of 12 shown")
	f.press("down", "pgdown")
	f.wants("5", "5 4 3 2 1")
	f.press("pgup", "up") // a page of two, were it counted from the end
	f.wants("11", "12 11 10 9 8")
	f.press("home")
	f.wants("12", "12 11 10 9 8")
	f.sees(5, "12 active 120/s 1000 B/s █ ███ 0") // while another page was shown there is a gap
	f.press("pgdown", "pgdown")
	f.flows = f.flows[8:] // with which there is one page
	f.press("space", "space")
	f.wants("12", "12 11 10 9")
	f.sees(3, "4 shown")
	f.press("end", "up")
	f.wants("10", "12 11 10 9")
}

// wants is which flow is to be selected, and which are to be seen.
func (f *fake) wants(selected, seen string) {
	f.t.Helper()
	var ids []string
	for _, line := range f.screen()[5:11] {
		if words := strings.Fields(line); len(words) > 0 {
			ids = append(ids, words[0])
		}
	}
	if got := strings.Join(ids, " "); got != seen || f.selected() != selected {
		f.t.Errorf("of %s, %s is selected, want %s of %s", got, f.selected(), selected, seen)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1)
	f.press("f", "a", "b", "backspace", " ", "=")
	f.sees(11, "filter (CEL): a =█")
	f.press("esc", "f", "x", "ctrl+u", "i", "d", "enter")
	if got := fmt.Sprintf("%q", f.filters); got != `["" "" "id"]` {
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
	node := func(id string, active, messages, bytes uint64) *gatewayv1.NodeStatus {
		return &gatewayv1.NodeStatus{Node: id, NodeId: id, Status: &gatewayv1.GetStatusResponse{
			ActiveFlows: active, Peers: 2 * active, Messages: messages, Bytes: bytes, Draining: id == "b",
			QueuedBytes: 1 << 20, Limits: &gatewayv1.Limits{MaxBytes: 1 << 30},
		}}
	}
	f.status.Cluster = &gatewayv1.ClusterStatus{Name: "lab", Nodes: make([]*gatewayv1.ClusterNode, 3)}
	f.flows[0].Id, f.flows[1].Id, f.flows[0].Node, f.flows[1].Node = 7, 7, "a", "b"
	f.status.NodeStatuses = []*gatewayv1.NodeStatus{node("a", 1, 100, 0), node("b", 1, 1000, 0)}
	f.press("space", "space") // which looks again
	f.sees(1, "flows 2 active, 0 pending, 0 half-closed peers 4 listeners 0")
	f.sees(2, "data 0/s 0 B/s")
	f.sees(2, "queued 2.0 MiB of 2.0 GiB")
	f.sees(3, "2 shown, cluster lab: 2 nodes")
	f.sees(0, "1 of 2 nodes drain")
	silent := []*gatewayv1.Unreachable{{Node: "c", NodeId: "c", Reason: "nothing has come"}}
	f.status = &gatewayv1.GetStatusResponse{Cluster: f.status.GetCluster(), Unreachable: silent, NodeStatuses: []*gatewayv1.NodeStatus{
		node("a", 1, 150, 2048), node("b", 1, 10, 0), node("new", 3, 5000, 0),
	}}
	f.silent = silent
	f.press("space", "space")
	f.sees(1, "flows 5 active")
	f.sees(3, "2 shown, cluster lab: 3 nodes, without c")
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

// TestSizes: no terminal is too small, and one that does not know its size changes nothing.
func TestSizes(t *testing.T) {
	t.Parallel()
	unseen := top.New(t.Context(), top.Source{Address: "here:1"}, top.Options{})
	unseen.Update(tea.WindowSizeMsg{Width: 5, Height: 1})
	if content := unseen.View().Content; content != "aski…" {
		t.Errorf("before the first look: %q", content)
	}
	f := newFake(t, 3)
	resize := func(width, height int) []string {
		_, command := f.Update(tea.WindowSizeMsg{Width: width, Height: height})
		f.do(command)
		return strings.Split(f.View().Content, "\n")
	}
	for _, mode := range []string{"x", "enter"} {
		f.press(mode)
		for height := 1; height < 20; height++ {
			for width := 1; width < 12; width++ {
				lines := resize(width, height)
				if len(lines) != height {
					t.Errorf("%d lines of %d", len(lines), height)
				}
				for _, line := range lines {
					if ansi.StringWidth(line) > width {
						t.Errorf("%q is wider than %d", line, width)
					}
				}
			}
		}
		before := resize(100, 12)
		for _, size := range [][2]int{{0, 0}, {0, 5}, {5, 0}, {-1, -1}} {
			if after := resize(size[0], size[1]); !slices.Equal(before, after) {
				t.Errorf("a size of %v: %q", size, after)
			}
		}
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
