package operate_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/zioflow/gateway/cli/exit"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestShow: each list as a table and as JSON, of a gateway that has something to show.
func TestShow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.give(t, map[string]any{"stream": "raw"})
	ended := r.give(t, map[string]any{"stream": "old"})
	if err := ended.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.until(t, func() bool {
		peers, err := r.Admin().ListPeers(t.Context(), &gatewayv1.ListPeersRequest{})
		return err == nil && len(peers.GetPeers()) == 2
	})
	const head = "ID STATE …*CREDIT HELD UP BY AGE ROUTE CLIENT HANDLER ATTRIBUTES"
	// Where it took long to be taken, the taker held it up most, and now the giver.
	const first = "1 active …* 4/4 …* dump grpc … → builtin dump builtin=dump stream=raw"
	r.run(t, "flows").columns(t, head, first)
	r.run(t, "flows", "--state=active,pending", "--filter", `attributes.stream == "raw"`).columns(t, head, first)
	r.run(t, "flows", "--all", "--sort=age", "--limit=1").columns(t, head, first)
	r.run(t, "flows", "--state=ended").columns(t, "ID STATE CREDIT HELD UP BY AGE ROUTE CLIENT HANDLER ATTRIBUTES",
		"2 completed 4 … … … dump grpc … → builtin dump builtin=dump stream=old")
	r.run(t, "flows", "--filter", `attributes.stream == "none"`).columns(t, "no flows")
	flows := reads(t, r.run(t, "flows", "--all", "--json"), &gatewayv1.ListFlowsResponse{}).GetFlows()
	if len(flows) != 2 || flows[0].GetId() != 2 || flows[1].GetAttributes().GetFields()["stream"].GetStringValue() != "raw" {
		t.Errorf("the flows are %v", flows)
	}
	if flow := reads(t, r.run(t, "flow", "1", "--json"), &gatewayv1.Flow{}); flow.GetFromClient().GetBytes() != 1000 {
		t.Errorf("the flow is %v", flow)
	}
	if out := r.run(t, "flow", "1").out; !strings.Contains(out, "credit        4: 4 held by the giver, 0 not paid for yet\n") {
		t.Errorf("the flow is\n%s", out)
	}
	r.run(t, "peers").columns(t, "ID PEER FLOW PROTOCOL SECURITY IN OUT SEEN SINCE", "2 builtin dump 1 0 B 1000 B … …",
		"1 grpc … 1 HTTP/2 none 1000 B 0 B … …")
	r.run(t, "peers", "--transport=zmq-router").columns(t, "no peers")
	r.run(t, "nodes").columns(t, "no nodes")
	r.run(t, "listeners").columns(t, "no listeners")
	r.run(t, "routes").columns(t, "NAME FROM TAKEN FLOWS TO MATCH", "dump builtin 2 1 builtin dump attributes.builtin == 'dump'",
		"generate builtin 0 0 builtin generate attributes.builtin == 'generate'")
	r.run(t, "routes", "list", "--json").contains(t, `"origin": "ROUTE_ORIGIN_BUILTIN"`)
	r.run(t, "status").contains(t, "gateway     1.2.3 at "+r.address+"\nstate       takes flows\n")
	if s := reads(t, r.run(t, "status", "--json"), &gatewayv1.GetStatusResponse{}); s.GetActiveFlows() != 1 || s.GetEndedFlows()["completed"] != 1 {
		t.Errorf("the status is %v", s)
	}
}

func (d done) contains(t *testing.T, text string) {
	t.Helper()
	if d.code != exit.Done || !strings.Contains(d.out, text) {
		t.Errorf("code %d, %q: there is no %q in\n%s", d.code, d.err, text, d.out)
	}
}

func TestRoutesTest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.run(t, "routes", "test", "builtin=generate", "--direction=inject").columns(t, "ROUTE FROM WHY",
		"dump builtin no attributes.builtin is not \"dump\"", "generate builtin takes it is true")
	none := r.run(t, "routes", "test", "stream=raw")
	none.fails(t, exit.NotFound, "no route takes it")
	if !strings.Contains(none.out, "attributes.builtin is missing") {
		t.Errorf("it does not say why:\n%s", none.out)
	}
	r.run(t, "routes", "test", "stream").fails(t, exit.Usage, `attribute "stream" is not of the form NAME=VALUE`)
	if v := reads(t, r.run(t, "routes", "test", "builtin=dump", "--json"), &gatewayv1.TestRouteResponse{}); v.GetRoute() != "dump" {
		t.Errorf("the verdicts are %v", v)
	}
}

// TestMistakes: what a user is likely to do wrong, in words and as a code.
func TestMistakes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.run(t, "flow", "99").fails(t, exit.NotFound, "there is no flow 99, or it is remembered no more; `gateway flows --all` lists those that are known")
	r.run(t, "flow", "x").fails(t, exit.Usage, "x")
	r.run(t, "flows", "--filter", "colour == 1").fails(t, exit.Usage, "filter: 1:1: undeclared reference to 'colour'")
	r.run(t, "flows", "--state", "asleep").fails(t, exit.Usage, `must be one of "pending","active","half_closed","ended"`)
	r.run(t, "flows", "--interval", "1ms").fails(t, exit.Usage, "--interval is 1ms, want 100ms at least")
	ctx := t.Context()
	run(ctx, t, "flows", "--address", "127.0.0.1:1").fails(t, exit.Unreachable, "nothing listens at 127.0.0.1:1: is the gateway running, with this --grpc?")
	run(ctx, t, "flows", "--address", "http://127.0.0.1:1").fails(t, exit.Usage, "the address is http://127.0.0.1:1: want HOST:PORT, without a scheme")
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run(ctx, t, "flows", "--address", "192.0.2.1:1", "--token-file", file("token", "secret\n")).fails(t, exit.Usage,
		"a token for 192.0.2.1:1 would cross the network in clear text: give --tls-ca")
	r.run(t, "flows", "--token-file", file("empty", "\n")).fails(t, exit.Usage, "empty is empty")
	r.run(t, "flows", "--tls-ca", file("no.pem", "none")).fails(t, exit.Usage, "--tls-ca: there is no certificate in PEM in it")
	r.run(t, "flows", "--tls-cert", "x").fails(t, exit.Usage, "--tls-cert and --tls-key need each other")
}

// TestWatch: with --watch a script gets JSON on a line each time, until it has enough.
func TestWatch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	out := &lines{enough: 3, cancel: cancel}
	err := execute(ctx, out, &bytes.Buffer{}, "status", "--json", "--watch", "--interval=100ms", "--address", r.address)
	if err != nil {
		t.Errorf("it ended with %v", err)
	}
	for line := range strings.Lines(out.text.String()) {
		if err := protojson.Unmarshal([]byte(line), &gatewayv1.GetStatusResponse{}); err != nil {
			t.Errorf("%v in %q", err, line)
		}
	}
	if n := strings.Count(out.text.String(), "\n"); n < 3 {
		t.Errorf("it has shown %d lines", n)
	}
	run(t.Context(), t, "status", "--watch", "--address", "127.0.0.1:1").fails(t, exit.Unreachable, "nothing listens")
}

// lines cancels when enough of them were written.
type lines struct {
	mu     sync.Mutex
	text   strings.Builder // guarded by mu
	enough int
	cancel context.CancelFunc
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if strings.Count(l.text.String(), "\n") >= l.enough {
		l.cancel()
	}
	return len(p), nil
}

// TestWatchEvents: a line for every state that a flow enters.
func TestWatchEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	table, script := &lines{cancel: func() {}}, &lines{cancel: func() {}}
	ended := make(chan error, 2)
	for _, watch := range []struct {
		out       *lines
		arguments []string
	}{{table, nil}, {script, []string{"--json", "--state=ended", "--filter=route == 'dump'"}}} {
		go func() {
			ended <- execute(ctx, watch.out, &bytes.Buffer{}, append([]string{"watch", "--address", r.address}, watch.arguments...)...)
		}()
	}
	r.until(t, func() bool { // the watches may not have begun yet
		giver := r.give(t, map[string]any{"stream": "raw"})
		if err := giver.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, state := range []string{"active", "half_closed", "completed"} {
			if !strings.Contains(table.content(), "  "+state+" ") {
				return false // of this flow or, if the watch began in the midst of it, of the next
			}
		}
		return strings.Contains(script.content(), "END_REASON_COMPLETED")
	})
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
	if !strings.Contains(table.content(), "after ") || !strings.Contains(table.content(), "builtin=dump stream=raw\n") {
		t.Errorf("it is\n%s", table.content())
	}
	run(t.Context(), t, "watch", "--address", "127.0.0.1:1").fails(t, exit.Unreachable, "nothing listens")
	r.run(t, "watch", "--filter", "colour").fails(t, exit.Usage, "undeclared reference")
	r.run(t, "top").fails(t, exit.Usage, "top needs a terminal")
	r.run(t, "top", "--sort=size").fails(t, exit.Usage, `--sort is "size"`)
}

func (l *lines) content() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
