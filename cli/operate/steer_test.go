package operate_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/zioflow/gateway/cli/exit"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/gateway/config"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestEnd: by number and by filter, what was named and nothing else.
func TestEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.give(t, map[string]any{"stream": "raw"})
	r.give(t, map[string]any{"stream": "raw"})
	r.give(t, map[string]any{"stream": "other"})

	r.run(t, "end", "1").fails(t, exit.Usage, "this asks first, and standard input is no terminal: give --yes")
	r.run(t, "end").fails(t, exit.Usage, "name flows by their numbers, or by --filter: one of the two")
	r.run(t, "end", "1", "--filter", "true").fails(t, exit.Usage, "one of the two")
	r.run(t, "end", "1", "77", "--yes").fails(t, exit.NotFound, "there is no flow 77, or it is remembered no more; nothing was ended")
	r.run(t, "end", "--yes", "--filter", `attributes.stream == "none"`).fails(t, exit.NotFound, "there is nothing to end")
	r.run(t, "end", "--yes", "--filter", `colour`).fails(t, exit.Usage, "undeclared reference to 'colour'")
	wantLive(t, r, 3, 2, 1)

	r.run(t, "end", "1", "1", "--yes", "--detail", "beam off").columns(t, "ended flow 1: builtin=dump stream=raw")
	if err := first.Close(t.Context()); zioflow.ReasonOf(err) != zioflow.EndedByAdmin || !strings.Contains(err.Error(), "beam off") {
		t.Errorf("the client was told %v", err)
	}
	r.run(t, "end", "1", "--yes").fails(t, exit.Refused, "flow 1 has ended already: ended_by_admin; nothing was ended")
	ended := reads(t, r.run(t, "end", "--yes", "--json", "--filter", `attributes.stream == "raw"`), &gatewayv1.Flow{})
	if ended.GetId() != 2 || ended.GetReason() != gatewayv1.EndReason_END_REASON_ENDED_BY_ADMIN {
		t.Errorf("ended was %v", ended)
	}
	wantLive(t, r, 3)
}

// wantLive wants those flows, the latest first, and no other.
func wantLive(t *testing.T, r *rig, ids ...uint64) {
	t.Helper()
	var got []uint64
	for _, f := range reads(t, r.run(t, "flows", "--json"), &gatewayv1.ListFlowsResponse{}).GetFlows() {
		got = append(got, f.GetId())
	}
	if fmt.Sprint(got) != fmt.Sprint(ids) {
		t.Errorf("there are the flows %v, want %v", got, ids)
	}
}

// TestEndMany ends more flows than go on a page.
func TestEndMany(t *testing.T) {
	t.Parallel()
	const flows = 1010
	r := newRig(t)
	var opening errgroup.Group
	opening.SetLimit(32)
	for range flows {
		opening.Go(func() error {
			giver, err := r.Give(t.Context(), zioflow.Bot{Credit: 1, Attributes: map[string]any{"builtin": "dump"}})
			if err == nil {
				t.Cleanup(giver.Abort)
			}
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		t.Fatal(err)
	}
	done := r.run(t, "end", "--yes", "--filter", "true")
	if n := strings.Count(done.out, "ended flow "); done.code != exit.Done || n != flows {
		t.Errorf("code %d, %q: %d flows were ended", done.code, done.err, n)
	}
	wantLive(t, r)
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	giver := r.give(t, map[string]any{"stream": "raw"})
	r.run(t, "disconnect", "99").fails(t, exit.NotFound, "there is no peer 99, or it has left; `gateway peers` lists those that are there")
	gone := r.run(t, "disconnect", "99", "--yes")
	gone.fails(t, exit.NotFound, "there is no peer 99, or it has left")
	if strings.Count(gone.err, "peer 99") != 1 {
		t.Errorf("told is %q", gone.err)
	}
	r.run(t, "disconnect", "2", "--yes").fails(t, exit.Refused, "peer 2: ")
	r.run(t, "disconnect", "1").fails(t, exit.Usage, "give --yes")
	r.run(t, "disconnect", "1", "1", "--yes", "--detail", "wrong run").columns(t, "disconnected peer 1: grpc …")
	if err := giver.Close(t.Context()); zioflow.ReasonOf(err) != zioflow.EndedByAdmin || !strings.Contains(err.Error(), "wrong run") {
		t.Errorf("the client was told %v", err)
	}
}

// TestDrain: it waits for the flows that there are, and whoever stops waiting leaves the
// gateway draining.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	giver := r.give(t, map[string]any{})
	r.run(t, "drain").columns(t, "the gateway refuses new flows; 1 flow is left")
	r.run(t, "status").contains(t, "state       draining: refuses new flows\n")
	r.run(t, "drain", "--wait", "--for=1ms").fails(t, exit.Failed, "after 1ms 1 flow is left; the gateway goes on refusing new ones")
	r.run(t, "undrain").columns(t, "the gateway takes new flows")

	// Interrupted while the gateway is asked.
	ctx, cancel := context.WithCancel(t.Context())
	err := execute(ctx, &lines{enough: 1, cancel: cancel}, &strings.Builder{}, "drain", "--wait", "--address", r.address)
	if want := "context canceled; 1 flow is left, and the gateway goes on refusing new ones"; err == nil || err.Error() != want {
		t.Errorf("told is %v, want %s", err, want)
	}
	r.run(t, "undrain").columns(t, "the gateway takes new flows")

	waited := make(chan done, 1)
	started := &lines{enough: 1, cancel: func() {}}
	told := make(chan struct{})
	started.cancel = func() { close(told); started.cancel = func() {} }
	go func() {
		err := execute(t.Context(), started, &strings.Builder{}, "drain", "--wait", "--address", r.address)
		waited <- done{code: exit.Of(err), err: fmt.Sprint(err)}
	}()
	<-told
	if err := giver.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if d := <-waited; d.code != exit.Done || started.text.String() != "the gateway refuses new flows; 1 flow is left\nno flow is left\n" {
		t.Errorf("code %d, %s: %q", d.code, d.err, started.text.String())
	}
	r.run(t, "drain", "--wait").columns(t, "the gateway refuses new flows; 0 flows are left")
	reads(t, r.run(t, "undrain", "--json"), &gatewayv1.UndrainResponse{})
}

// TestRoutesChange: what is added takes flows before those of a lower priority, and what is
// removed takes none.
func TestRoutesChange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	rules := filepath.Join(t.TempDir(), "rules.jsonnet")
	if err := os.WriteFile(rules, []byte(`[{rule: "(= stream 'cold')"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	add := func(arguments ...string) done { return r.run(t, append([]string{"routes", "add"}, arguments...)...) }
	add("live", "--match", "attributes.stream == 'live'", "--builtin=dump", "--priority=7", "--max-credit=3").
		columns(t, "added route live: builtin dump; it is gone after a restart")
	add("cold", "--rules", rules, "--listener=archivers").columns(t, "added route cold: listener archivers; it is gone after a restart")
	added := reads(t, add("far", "--json", "--connect=tcp://127.0.0.1:9", "--max-flows=2"), &gatewayv1.AddRouteResponse{})
	if to := added.GetRoute().GetRoute().GetConnect(); to.GetAddress() != "tcp://127.0.0.1:9" || to.GetMaxFlows() != 2 {
		t.Errorf("added was %v", added)
	}
	add("found", "--connect-node=detector", "--connect-port=flow").fails(t, exit.Usage, "this gateway is no node itself") // so it was asked
	r.run(t, "routes").columns(t, "NAME FROM PRIORITY TAKEN FLOWS CREDIT TO MATCH", "live added 7 0 0 3 builtin dump attributes.stream == 'live'",
		"cold added 0 0 listener archivers rules: …*", "far added 0 0 connect tcp://127.0.0.1:9 (all)", "dump …*", "generate …*")
	giver, err := r.Give(t.Context(), zioflow.Bot{Credit: 9, Attributes: map[string]any{"stream": "live"}})
	if err != nil || giver.TakenBy().Route != "live" {
		t.Fatalf("a flow: %v", err)
	}
	defer giver.Abort()

	add("live", "--builtin=dump").fails(t, exit.Refused, "live")
	add("x", "--builtin=dump", "--match", "attributes.run = 7").fails(t, exit.Usage, "to compare is ==, not =")
	add("x", "--builtin=dump", "--match=true", "--rules", rules).fails(t, exit.Usage, "--match and --rules both say")
	add("x", "--builtin=dump", "--rules=nowhere").fails(t, exit.Usage, "--rules: nowhere: no such file or directory")
	add("x").fails(t, exit.Usage, "where do its flows go?")
	add("x", "--builtin=dump", "--listener=y").fails(t, exit.Usage, "where do its flows go?")
	add("x", "--connect-node=y").fails(t, exit.Usage, "--connect-node and --connect-port need each other")
	add("x", "--builtin=dump", "--max-flows=1").fails(t, exit.Usage, "--server-key and --max-flows are for")
	add("x", "--builtin=dump", "--max-time=1s").fails(t, exit.Usage, "--max-processes and --max-time are for commands")
	run(t.Context(), t, "routes", "add", "--address", r.address, "x", "--max-time=1s", "--", "cat", "-v").fails(t, exit.Refused, "--allow-exec-routes")

	r.run(t, "routes", "remove", "cold", "live").columns(t, "removed route cold: listener archivers", "removed route live: builtin dump; 1 flow of it go on")
	r.run(t, "routes", "remove", "cold", "far").fails(t, exit.NotFound, "route cold: ")
	if removed := reads(t, r.run(t, "routes", "remove", "far", "far", "--json"), &gatewayv1.RemoveRouteResponse{}); removed.GetRoute().GetRoute().GetName() != "far" {
		t.Errorf("removed was %v", removed)
	}
	if err := giver.Close(t.Context()); err != nil {
		t.Errorf("a flow of a route that was removed: %v", err)
	}
}

// TestReload says what has changed, and that nothing is lost by a mistake.
func TestReload(t *testing.T) {
	t.Parallel()
	type reread func() (*config.Revision, error)
	var next atomic.Value // a reread, which is also called when it is time to try again
	var now gateway.Config
	r := newRig(t, func(c *gateway.Config) {
		c.Reread = func() (*config.Revision, error) { return next.Load().(reread)() }
		now = *c
	})
	next.Store(reread(func() (*config.Revision, error) { return nil, fmt.Errorf("gateway.yaml: max-flows is \x1b[2Jmany") }))
	r.run(t, "reload").fails(t, exit.Refused, `gateway.yaml: max-flows is \u001b[2Jmany`)
	r.run(t, "reload").fails(t, exit.Refused, `the configuration in force is the one before`)
	next.Store(reread(func() (*config.Revision, error) {
		return &config.Revision{Config: now, Taken: func() (changes, needRestart []string) {
			return []string{"max-flows: 7, was 8"}, []string{"grpc: \x1b[2Jx"}
		}}, nil
	}))
	r.run(t, "reload").contains(t, "max-flows: 7, was 8\nneeds a restart: grpc: \\u001b[2Jx\n")
	if got := reads(t, r.run(t, "reload", "--json"), &gatewayv1.ReloadResponse{}); len(got.GetChanges()) == 0 {
		t.Errorf("it was %v", got)
	}
	next.Store(reread(func() (*config.Revision, error) { return &config.Revision{Config: now}, nil }))
	r.run(t, "reload").columns(t, "nothing has changed")
}

func TestLogLevel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.run(t, "log-level").columns(t, "info")
	r.run(t, "log-level", "debug").contains(t, "the log level is debug, it was info;")
	r.run(t, "log-level").columns(t, "debug")
	r.run(t, "log-level", "loud").fails(t, exit.Usage, `"debug","info","warn","error"`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d := run(ctx, t, "log-level", "--address", r.address); d.code != exit.Failed || !strings.Contains(d.err, "context canceled") {
		t.Errorf("code %d, %q", d.code, d.err)
	}
}
