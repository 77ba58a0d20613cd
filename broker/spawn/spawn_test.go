package spawn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute // the machine may have much else to do

// benches counts them, for their marks.
var benches atomic.Int64

// bench is a broker with a spawner, and a log that can be waited for.
type bench struct {
	t       *testing.T
	broker  *broker.Broker
	spawner *spawn.Spawner
	log     chan string
	seen    []string // of the log
	mark    string   // in the environment of all that its commands start
}

func setUp(t *testing.T, change func(*broker.Options, *spawn.Options)) *bench {
	t.Helper()
	b := &bench{t: t, log: make(chan string, 10_000), mark: fmt.Sprintf("spawn-test-%d-%d.", os.Getpid(), benches.Add(1))}
	t.Setenv("LOGNAME", b.mark)
	t.Cleanup(b.wantNothingLeft)
	limits, options := broker.DefaultOptions(), spawn.DefaultOptions()
	options.Grace = 100 * time.Millisecond
	options.Log = slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	limits.PendingTimeout = patience
	if change != nil {
		change(&limits, &options)
	}
	var err error
	if b.broker, err = broker.New(limits); err != nil {
		t.Fatal(err)
	}
	if b.spawner, err = spawn.New(options); err != nil {
		t.Fatal(err)
	}
	b.spawner.SetAddresses(spawn.Addresses{ZMQServer: "tcp://127.0.0.1:5555", GRPC: "127.0.0.1:7575"})
	t.Cleanup(b.stop)
	return b
}

func (b *bench) stop() {
	b.broker.Close(flow.Draining, "the test is over")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.spawner.Close(ctx); err != nil {
		b.t.Error(err)
	}
}

// wantNothingLeft fails if anything that a command has started is still there, and
// kills it: it would stay for long.
func (b *bench) wantNothingLeft() {
	left := b.marked()
	for deadline := time.Now().Add(patience); len(left) > 0 && time.Now().Before(deadline); left = b.marked() {
		time.Sleep(time.Millisecond) // who was killed goes soon, and nobody tells of it
	}
	for _, pid := range left {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		b.t.Errorf("process %d is left: %q", pid, name)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			b.t.Error(err)
		}
	}
}

// marked are the processes that commands of this bench have started.
func (b *bench) marked() (pids []int) {
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, path := range environments {
		text, err := os.ReadFile(path) // empty for a zombie; fails for who has gone, or is not ours
		if err != nil || !bytes.Contains(text, []byte("LOGNAME="+b.mark+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Write takes a line of the log.
func (b *bench) Write(line []byte) (int, error) {
	b.log <- strings.TrimSuffix(string(line), "\n")
	return len(line), nil
}

// logged waits for a line of the log with those words.
func (b *bench) logged(words string) string {
	b.t.Helper()
	for i, line := range b.seen {
		if strings.Contains(line, words) {
			b.seen = slices.Delete(b.seen, i, i+1)
			return line
		}
	}
	deadline := time.After(patience)
	for {
		select {
		case line := <-b.log:
			if strings.Contains(line, words) {
				return line
			}
			b.seen = append(b.seen, line)
		case <-deadline:
			b.t.Fatalf("the log does not say %q:\n%s", words, strings.Join(b.seen, "\n"))
		}
	}
}

// said is what the next line of a command's output with that prefix goes on with.
func (b *bench) said(prefix string) string {
	b.t.Helper()
	line := b.logged(`msg="command: ` + prefix)
	_, quoted, _ := strings.Cut(line, "msg=")
	quoted, err := strconv.QuotedPrefix(quoted)
	if err != nil {
		b.t.Fatal(err)
	}
	text, _ := strconv.Unquote(quoted)
	return strings.TrimPrefix(text, "command: "+prefix)
}

func (b *bench) route(r routing.Route, c spawn.Command) {
	b.t.Helper()
	factory, err := b.spawner.Factory(r.Name, c)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Factory = factory
	if _, err := b.broker.AddRoute(r); err != nil {
		b.t.Fatal(err)
	}
}

func sh(script string) spawn.Command { return spawn.Command{Arguments: []string{"sh", "-c", script}} }

// peer is one side of a flow, in memory.
type peer struct {
	*broker.Peer
	end chan *flow.Error
}

func (b *bench) attach() *peer {
	p := &peer{end: make(chan *flow.Error, 10)}
	p.Peer = b.broker.Attach(p, transport.PeerInfo{Transport: "test", Address: "a<b", Name: "me"})
	return p
}

func (p *peer) Deliver(d transport.Delivery) error { d.Message.Release(); return nil }
func (p *peer) Queued() (messages, bytes int64)    { return 0, 0 }
func (p *peer) Flush()                             {}

func (p *peer) Ended(reason flow.Reason, detail string) {
	p.end <- &flow.Error{Reason: reason, Detail: detail}
}

func (p *peer) send(label string, payload ...[]byte) {
	p.Receive(&zio.Message{
		Label: []byte(label), Payload: payload, Coord: zio.Coord{Origin: 1 << 63, Granule: 5, Seqno: 2},
	})
}

// open begins a flow as its client.
func (b *bench) open(attributes string, payload ...[]byte) *peer {
	p := b.attach()
	p.send(`{"flow":"BOT","direction":"extract","credit":4`+attributes+`}`, payload...)
	return p
}

// accept is a handler that accepts.
func (b *bench) accept(cid uint64) *peer {
	p := b.attach()
	p.send(fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":2,"cid":%d}`, cid))
	return p
}

func (b *bench) wantEnd(p *peer, reason flow.Reason, detail string) {
	b.t.Helper()
	select {
	case end := <-p.end:
		if end.Reason != reason || !strings.Contains(end.Detail, detail) {
			b.t.Errorf("ended with %v: %s, want %v: %s", end.Reason, end.Detail, reason, detail)
		}
	case <-time.After(patience):
		b.t.Fatalf("the flow has not ended, want %v", reason)
	}
}

// wantGone waits until a process is there no more, or only as a zombie of
// somebody else's.
func (b *bench) wantGone(pid string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // nobody tells of it
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[0] == "Z" && fields[1] != strconv.Itoa(os.Getpid()) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("process %s is still there: %s", pid, stat)
		}
	}
}

func TestCommandIsToldOfItsFlow(t *testing.T) {
	t.Setenv("SECRET_TOKEN", "x")
	t.Setenv("ZIO_GATEWAY_JWT", "x")
	b := setUp(t, nil)
	rules, err := match.ParseRules(t.Context(), `[{"rule":"(= mode 'fast')","attr":{"mode":"fast","run":9007199254740993}}]`)
	if err != nil {
		t.Fatal(err)
	}
	b.route(routing.Route{Name: "r", Match: rules, MaxCredit: 3}, sh(`echo pid $$; echo task $(cat); echo end; env | sed 's/^/env /'; exec sleep 1000`))
	client := b.open(`,"path":"a<b","big":18446744073709551615`, []byte{0, 255}, nil)
	pid := b.said("pid ")
	var task struct {
		CID      uint64
		Deadline time.Time
	}
	text := b.said("task ")
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if left := time.Until(task.Deadline); left <= 0 || left > patience {
		t.Errorf("the deadline is in %v", left)
	}
	deadline, _ := task.Deadline.MarshalText()
	want := fmt.Sprintf(`{"flow":1,"route":"r","cid":%d,"direction":"inject","credit":3,"deadline":"%s",`+
		`"client":{"transport":"test","address":"a<b","identity":"","name":"me"},`+
		`"label":{"flow":"BOT","direction":"inject","credit":3,"path":"a<b","big":18446744073709551615,"cid":%d},`+
		`"coord":{"origin":9223372036854775808,"granule":5,"seqno":2},"payload":["AP8=",""],`+
		`"attr":{"mode":"fast","run":9007199254740993}}`, task.CID, deadline, task.CID)
	if text != want {
		t.Errorf("the command was given\n%s\nwant\n%s", text, want)
	}
	b.said("end")
	handler := b.accept(task.CID)
	client.send(`{"flow":"EOT"}`)
	handler.send(`{"flow":"EOT"}`)
	b.wantEnd(client, flow.Completed, "")
	b.wantGone(pid)
	b.stop()
	close(b.log)
	for line := range b.log {
		b.seen = append(b.seen, line)
	}
	var environment []string
	for _, line := range b.seen {
		if _, variable, is := strings.Cut(line, `msg="command: env `); is {
			name, _, _ := strings.Cut(variable, "=")
			environment = append(environment, name)
		}
		if strings.Contains(line, "command: ") && !strings.Contains(line, "flow=1 route=r stream=stdout") {
			t.Errorf("a line does not say where it comes from: %s", line)
		}
	}
	known := []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"}
	for _, own := range []string{"ZIO_GATEWAY_ZMQ_SERVER", "ZIO_GATEWAY_GRPC", "ZIO_GATEWAY_CID", "ZIO_GATEWAY_FLOW"} {
		if !slices.Contains(environment, own) {
			t.Errorf("the command's environment has no %s", own)
		}
		known = append(known, own)
	}
	for _, name := range environment {
		if !slices.Contains(known, name) {
			t.Errorf("the command has the gateway's %s", name)
		}
	}
}

// What a command is told has a bound, and every reader of JSON can read it.
func TestWhatACommandIsToldIsBounded(t *testing.T) {
	b := setUp(t, nil)
	// The whole task need not cross the log, which cuts it: its parts do.
	b.route(routing.Route{Name: "r"}, sh(`cat > "$TMPDIR/task"; echo read; exec sleep 1000`))
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	const large = 1_700_000
	for name, tt := range map[string]struct {
		attributes string
		payload    []byte
		want       string // what is left out
		parts      int
		label      string
	}{
		"what fits": {`,"run":1`, make([]byte, 100_000), `null`, 1, `"run":1`},
		"a payload": {`,"run":1`, make([]byte, large), `{"payload_bytes":1700000,"payload_parts":1}`, 0, `"run":1`},
		"odd attributes": {`,"nan":NaN,"twice":1,"twice":2,"deep":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `,"run":1`, nil,
			`{"attributes":[{"name":"nan","why":"has NaN or Infinity, which are no JSON"},{"name":"twice","why":"stands there twice"},` +
				`{"name":"deep","why":"is nested too deep to be read"}]}`, 0, `"credit":4,"run":1,"cid"`},
		"a long odd label": {`,"nan":NaN,"long":"` + strings.Repeat(`\"`, 400_000) + `"`, nil,
			`{"label_bytes":N,"attributes":[{"name":"nan","why":"has NaN or Infinity, which are no JSON"}]}`, 0, `\"\"`},
	} {
		t.Run(name, func(t *testing.T) {
			var payload [][]byte
			if tt.payload != nil {
				payload = [][]byte{tt.payload}
			}
			client := b.open(tt.attributes, payload...)
			b.said("read")
			text, err := os.ReadFile(folder + "/task")
			if err != nil {
				t.Fatal(err)
			}
			var task struct {
				Label   json.RawMessage
				Text    string `json:"label_text"`
				Payload [][]byte
				LeftOut json.RawMessage `json:"left_out"`
			}
			if err := json.Unmarshal(text, &task); err != nil {
				t.Fatal(err)
			}
			if len(text) > 2<<20 {
				t.Errorf("the task has %d bytes", len(text))
			}
			left := string(task.LeftOut)
			if left == "" {
				left = "null"
			}
			left = regexp.MustCompile(`_bytes":80\d+,"a`).ReplaceAllString(left, `_bytes":N,"a`) // the cid is in it
			if left != tt.want || len(task.Payload) != tt.parts || !strings.Contains(string(task.Label), tt.label) {
				t.Errorf("left out is %s, with %d parts and the label %.200s; want %s", left, len(task.Payload), task.Label, tt.want)
			}
			if odd := strings.Contains(tt.want, "attributes"); odd && !strings.Contains(tt.want, "label_bytes") != strings.Contains(task.Text, "NaN") {
				t.Errorf("the label's text is %.100s", task.Text)
			}
			client.Leave("gone")
			b.logged("command ended")
		})
	}
}

// A command that does not come to accept costs its own flow only.
func TestCommandThatFails(t *testing.T) {
	b := setUp(t, nil)
	for name, tt := range map[string]struct {
		command spawn.Command
		reason  flow.Reason
		detail  string
	}{
		"status":     {sh(`echo one >&2; echo "no disk" >&2; echo >&2; exit 3`), flow.Rejected, "command sh exited with status 3 before it accepted: no disk"},
		"silence":    {sh(`exit 0`), flow.Rejected, "command sh exited with status 0 before it accepted"},
		"signal":     {sh(`kill -9 $$`), flow.Rejected, "command sh was killed by SIGKILL before it accepted"},
		"no program": {spawn.Command{Arguments: []string{"/nonexistent/handler"}}, flow.Rejected, "command /nonexistent/handler: can't be started: no such file or directory"},
		"no name":    {spawn.Command{Arguments: []string{"no-such-handler"}}, flow.Rejected, "command no-such-handler: can't be started: "},
		"a folder":   {spawn.Command{Arguments: []string{"/tmp"}}, flow.Rejected, "command /tmp: can't be started: permission denied"},
		"too long": {spawn.Command{Arguments: []string{"sleep", "1000"}, MaxTime: 10 * time.Millisecond},
			flow.Rejected, "command sleep did not accept within its max_time, 10ms"},
		"left a child": {sh(`sleep 1000 & echo sorry >&2; exit 4`), flow.Rejected, "command sh exited with status 4 before it accepted: sorry"},
		"no reader":    {sh(`exec 0<&-; exit 5`), flow.Rejected, "command sh exited with status 5 before it accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			only, err := match.Compile(fmt.Sprintf("attributes.which == %q", name))
			if err != nil {
				t.Fatal(err)
			}
			b.route(routing.Route{Name: name, Match: only}, tt.command)
			b.wantEnd(b.open(fmt.Sprintf(`,"which":%q`, name), make([]byte, 1<<20)), tt.reason, tt.detail)
		})
	}
}

// When its flow ends, a command ends, and all that it has started: by SIGTERM,
// and if it does not heed that, by SIGKILL.
func TestCommandEndsWithItsFlow(t *testing.T) {
	const children = `trap "$0" TERM; (trap "$0" TERM; echo child $(exec sh -c 'echo $PPID'); while :; do sleep 1000; done) & ` +
		`echo parent $$; echo task $(cat); while :; do sleep 1000; done`
	for name, tt := range map[string]struct {
		trap   string
		accept bool
		end    func(b *bench, client, handler *peer)
		reason flow.Reason
		words  string
	}{
		"pending, heeds":    {`exit 0`, false, func(_ *bench, c, _ *peer) { c.Leave("gone") }, flow.PeerGone, "command ended"},
		"pending, does not": {``, false, func(_ *bench, c, _ *peer) { c.Leave("gone") }, flow.PeerGone, "it does not heed SIGTERM"},
		"active":            {`exit 0`, true, func(_ *bench, c, _ *peer) { c.Leave("gone") }, flow.PeerGone, "command ended"},
		"completed": {``, true, func(_ *bench, c, h *peer) { c.send(`{"flow":"EOT"}`); h.send(`{"flow":"EOT"}`) },
			flow.Completed, "it does not heed SIGTERM"},
		"gateway stops": {`exit 0`, true, func(b *bench, _, _ *peer) { b.stop() }, flow.Draining, "command ended"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setUp(t, nil)
			b.route(routing.Route{Name: "r"}, spawn.Command{Arguments: []string{"sh", "-c", children, tt.trap}})
			client, handler := b.open(""), (*peer)(nil)
			parent, child := b.said("parent "), b.said("child ")
			var task struct{ CID uint64 }
			if err := json.Unmarshal([]byte(b.said("task ")), &task); err != nil {
				t.Fatal(err)
			}
			if tt.accept {
				handler = b.accept(task.CID)
			}
			tt.end(b, client, handler)
			b.wantEnd(client, tt.reason, "")
			b.logged(tt.words)
			b.wantGone(parent)
			b.wantGone(child)
		})
	}
}

// A command whose flow completed may finish its work; one that exits of itself
// after it accepted does not end the flow.
func TestCommandMayFinish(t *testing.T) {
	b := setUp(t, func(_ *broker.Options, o *spawn.Options) { o.Grace = patience })
	gate := t.TempDir() + "/gate" // stays open once it is
	b.route(routing.Route{Name: "r"}, spawn.Command{Arguments: []string{"sh", "-c",
		`trap 'echo stopped' TERM; echo task $(cat); until [ -e "$0" ]; do sleep 0.01; done; echo finished`, gate}})
	client := b.open("")
	var task struct{ CID uint64 }
	if err := json.Unmarshal([]byte(b.said("task ")), &task); err != nil {
		t.Fatal(err)
	}
	handler := b.accept(task.CID)
	client.send(`{"flow":"EOT"}`)
	handler.send(`{"flow":"EOT"}`)
	b.wantEnd(client, flow.Completed, "")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.said("finished")
	b.logged(`state="exit status 0"`)

	client = b.open("") // exits at once, as the gate is open
	if err := json.Unmarshal([]byte(b.said("task ")), &task); err != nil {
		t.Fatal(err)
	}
	b.wantEnd(client, flow.Rejected, "exited with status 0 before it accepted")
}
