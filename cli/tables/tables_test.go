package tables_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(-d)) }

// active and ended are flows with everything, the second by peers who wish its reader ill.
var (
	active = &gatewayv1.Flow{
		Id: 12, State: gatewayv1.FlowState_FLOW_STATE_ACTIVE, Direction: gatewayv1.Direction_DIRECTION_EXTRACT, Credit: 10, Route: "raw",
		Client:            &gatewayv1.Peer{Transport: "zmq-server", Address: "10.1.2.3", Name: "reader"},
		Handler:           &gatewayv1.Peer{Transport: "grpc", Address: "127.0.0.1:40476"},
		MessagesPerSecond: 1204, BytesPerSecond: 1 << 20, CreditState: &gatewayv1.CreditState{HeldByGiver: 3, Outstanding: 7},
		HeldUpBy: gatewayv1.HeldUpBy_HELD_UP_BY_GIVER, Opened: ago(125 * time.Second),
		Waits:      &gatewayv1.Waits{ForTaker: durationpb.New(time.Minute), TakerShare: 0.98, GiverShare: 0.02},
		FromClient: &gatewayv1.Traffic{Messages: 4, Dats: 3, Bytes: 4096},
		LastDat:    ago(time.Second),
		Attributes: attributes(map[string]any{"stream": "raw", "run": 4711, "tags": []any{"a b"}}),
	}
	ended = &gatewayv1.Flow{
		Id: 7, State: gatewayv1.FlowState_FLOW_STATE_ENDED, Reason: gatewayv1.EndReason_END_REASON_PEER_GONE, Detail: "\x1b[2Jgone",
		Direction: gatewayv1.Direction_DIRECTION_INJECT, Credit: 2, Opened: ago(time.Hour), Ended: ago(59 * time.Minute),
		Client:     &gatewayv1.Peer{Transport: "zmq-router", Identity: "evil\x1b]0;title\x07\u202eelif"},
		Attributes: attributes(map[string]any{"name\r": "\u009b31m"}), MessagesPerSecond: 5,
	}
)

func attributes(m map[string]any) *structpb.Struct {
	s, err := structpb.NewStruct(m)
	if err != nil {
		panic(err)
	}
	return s
}

// want compares a table without its colours.
func want(t *testing.T, got, want string) {
	t.Helper()
	if plain := ansi.Strip(got); plain != strings.TrimPrefix(want, "\n") {
		t.Errorf("got\n%s\nwant%s", plain, want)
	}
}

func TestFlows(t *testing.T) {
	want(t, tables.Flows([]*gatewayv1.Flow{active, ended}, now).Render(0), `
ID  STATE         RATE      BYTES  CREDIT  HELD UP BY             AGE  ROUTE  CLIENT                                            HANDLER               ATTRIBUTES
12  active     1,204/s  1.0 MiB/s    3/10  taker 98%, now giver  2m5s  raw    zmq-server reader                              →  grpc 127.0.0.1:40476  run=4711 stream=raw tags=["a b"]
 7  peer_gone                           2                        1m0s         zmq-router evil\u001b]0;title\u0007\u202eelif  ←                        name\u000d=\u009b31m
`)
	want(t, tables.Flows(nil, now).Render(0), "\nno flows\n")
	for line := range strings.Lines(ansi.Strip(tables.Flows([]*gatewayv1.Flow{active, ended}, now).Render(40))) {
		if width := ansi.StringWidth(strings.TrimSuffix(line, "\n")); width > 40 {
			t.Errorf("%d columns, not 40: %q", width, line)
		}
	}
}

func TestFlow(t *testing.T) {
	got := ansi.Strip(tables.Flow(active, now).Render(0))
	for _, line := range []string{
		"client       zmq-server 10.1.2.3 name reader", "data         from client to handler",
		"credit       10: 3 held by the giver, 7 not paid for yet", "from client  4 messages, 3 of them DATs, 4.0 KiB",
		"rate         1,204/s, 1.0 MiB/s", "last DAT     1s ago", "held up by   taker 98%, now giver",
		"has waited   0ms for the giver, 1m0s for the taker, 0ms for the gateway", `  tags       ["a b"]`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("there is no line %q in\n%s", line, got)
		}
	}
	got = ansi.Strip(tables.Flow(ended, now).Render(0))
	for _, line := range []string{`detail        \u001b[2Jgone`, "59m0s ago, after 1m0s", "credit        2"} {
		if !strings.Contains(got, line) {
			t.Errorf("there is no %q in\n%s", line, got)
		}
	}
}

// TestUntrusted: nothing that a peer says gets to the terminal as it is, in any table, nor in
// JSON, which says the same still.
func TestUntrusted(t *testing.T) {
	const evil = "a\x1b[31mb\u009bc\u202ed\x7fe\xfff\U000e0041g\nh\u2028i\u00a0j"
	peer := &gatewayv1.Peer{Transport: evil, Address: evil, Identity: evil, Name: evil}
	struck := &structpb.Struct{Fields: map[string]*structpb.Value{evil: structpb.NewStringValue(evil)}}
	flow := &gatewayv1.Flow{Client: peer, Handler: peer, Route: evil, Detail: evil, Attributes: struck, LeftOut: &gatewayv1.LeftOut{
		AttributesCount: 1, Attributes: []*gatewayv1.UnshownAttribute{{Name: evil, Why: evil}},
	}}
	for name, table := range map[string]*tables.Table{
		"flows":     tables.Flows([]*gatewayv1.Flow{flow}, now),
		"flow":      tables.Flow(flow, now),
		"peers":     tables.Peers([]*gatewayv1.ConnectedPeer{{Peer: peer, Protocol: evil}}, now),
		"listeners": tables.Listeners([]*gatewayv1.Listener{{Name: evil, Match: evil, Peer: peer}}, now),
		"nodes": tables.Nodes([]*gatewayv1.Node{{
			Name: evil, Endpoint: evil, Headers: map[string]string{evil: evil}, Ports: []*gatewayv1.NodePort{{Name: evil, Address: evil, Socket: evil}},
		}}, now),
		"routes": tables.Routes([]*gatewayv1.RouteStatus{{Route: &gatewayv1.Route{
			Name: evil, Rules: evil, Factory: &gatewayv1.Route_Exec{Exec: &gatewayv1.ExecFactory{Command: []string{evil}}},
		}}}),
		"verdicts": tables.Verdicts([]*gatewayv1.RouteVerdict{{Route: evil, Explanation: evil}}),
		"status":   tables.Status(&gatewayv1.GetStatusResponse{Version: evil, EndedFlows: map[string]uint64{evil: 1}}, evil, now),
	} {
		own := strings.NewReplacer("\x1b[1m", "", "\x1b[2m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[31m", "", "\x1b[m", "", "\n", "").
			Replace(strings.ReplaceAll(table.Render(0), "\x1b[31mb", "EVIL"))
		if strings.Contains(own, "EVIL") || tables.Printable(own) != own {
			t.Errorf("%s: %q", name, own)
		}
		if !strings.Contains(own, `a\u001b[31mb\u009bc\u202ed\u007fe\xfff\U000e0041g h\u2028i j`) {
			t.Errorf("%s: what the peer said is not there: %q", name, own)
		}
	}
	detail := strings.ToValidUTF8(evil, "")
	text, err := tables.JSON(&gatewayv1.Flow{Detail: detail}, true)
	if err != nil || tables.Printable(strings.TrimSuffix(text, "\n")) != strings.TrimSuffix(text, "\n") {
		t.Errorf("%q, %v", text, err)
	}
	var read struct{ Detail string }
	if err := json.Unmarshal([]byte(text), &read); err != nil || read.Detail != detail {
		t.Errorf("%q, %v, want %q", read.Detail, err, detail)
	}
}

func TestQuantities(t *testing.T) {
	for got, want := range map[string]string{
		tables.Span(-time.Second): "0s", tables.Span(850 * time.Millisecond): "850ms", tables.Span(59 * time.Second): "59s",
		tables.Span(125 * time.Second): "2m5s", tables.Span(192 * time.Minute): "3h12m", tables.Span(99 * time.Hour): "4d3h",
		tables.Rate(0.01): "", tables.Rate(0.26): "0.3/s", tables.Rate(12345.6): "12,346/s",
		tables.ByteRate(0): "", tables.ByteRate(0.1): "1 B/s", tables.ByteRate(3 << 20): "3.0 MiB/s",
		tables.Bytes(int64(-1)): "0 B", tables.Count(1234567): "1,234,567",
		tables.Sparkline([]float64{0, 1, 4, 8}, 6):       "  ▁▂▅█",
		tables.Sparkline([]float64{9, 0, 0}, 2):          "▁▁",
		tables.Sparkline([]float64{8, math.NaN(), 1}, 3): "█ ▂",
		tables.Sparkline([]float64{1, 2, 3, 100}, 3):     "▂▂█",
		tables.Cut("Straße nach Würzburg", 8):            "Straße …",
		tables.Cut("日本語", 4):                             "日…",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestFill(t *testing.T) {
	got := tables.Listeners([]*gatewayv1.Listener{{Id: 1, Name: "raw", MaxFlows: 2, Flows: 2}}, now).Render(0)
	if !strings.Contains(got, "\x1b[33m2/2") {
		t.Errorf("a listener that is full is not marked: %q", got)
	}
	status := &gatewayv1.GetStatusResponse{Draining: true, EndedFlows: map[string]uint64{"completed": 1200, "overrun": 3, "idle_timeout": 3}}
	got = ansi.Strip(tables.Status(status, "here", now).Render(0))
	for _, line := range []string{"state       draining: refuses new flows\n", "ended       1,200 completed, 3 idle_timeout, 3 overrun\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("there is no line %q in\n%s", line, got)
		}
	}
}

func BenchmarkFlows10000(b *testing.B) {
	flows := make([]*gatewayv1.Flow, 10_000)
	for i := range flows {
		flows[i] = active
	}
	for b.Loop() {
		tables.Flows(flows, now).Render(160)
	}
}

func BenchmarkJSON10000(b *testing.B) {
	response := &gatewayv1.ListFlowsResponse{}
	for range 10_000 {
		response.Flows = append(response.Flows, active)
	}
	for b.Loop() {
		if _, err := tables.JSON(response, false); err != nil {
			b.Fatal(err)
		}
	}
}

// TestEventOfNode: in a cluster a line says at which node, and a node that tells no more is
// told of.
func TestEventOfNode(t *testing.T) {
	t.Parallel()
	r := &gatewayv1.WatchFlowsResponse{Time: timestamppb.Now(), Node: "b", Flow: &gatewayv1.Flow{Id: 7, State: gatewayv1.FlowState_FLOW_STATE_ACTIVE}}
	if words := strings.Fields(ansi.Strip(tables.Event(r))); strings.Join(words[1:], " ") != "b 7 active" {
		t.Errorf("the line is %q", words)
	}
	gone := &gatewayv1.WatchFlowsResponse{Time: timestamppb.Now(), Node: "b", Gone: "it has left"}
	if line := ansi.Strip(tables.Event(gone)); line != "node b tells of no more flows: it has left\n" {
		t.Errorf("the line is %q", line)
	}
}

// TestRouteLeads: of every kind of factory that the contract has it is said where it leads, of
// one that nobody has found words for as well.
func TestRouteLeads(t *testing.T) {
	t.Parallel()
	kinds := (*gatewayv1.Route)(nil).ProtoReflect().Descriptor().Oneofs().ByName("factory").Fields()
	for i := range kinds.Len() {
		r := &gatewayv1.Route{Name: "x"}
		r.ProtoReflect().Mutable(kinds.Get(i))
		if got, want := tables.Route(r), "x: "+string(kinds.Get(i).Name()); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %q, want %q first", kinds.Get(i).Name(), got, want)
		}
	}
	exec := &gatewayv1.Route{Factory: &gatewayv1.Route_Exec{Exec: &gatewayv1.ExecFactory{MaxProcesses: 3}}}
	if got := tables.Described(exec); got != "exec max_processes=3" {
		t.Errorf("by its fields it is %q", got)
	}
	if got := tables.Route(&gatewayv1.Route{Name: "x"}); got != "x: " {
		t.Errorf("one that leads nowhere is %q", got)
	}
}
