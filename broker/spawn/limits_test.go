package spawn_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/spawn"
)

func (b *bench) only(name string) routing.Route {
	b.t.Helper()
	m, err := match.Compile(fmt.Sprintf("attributes.which == %q", name))
	if err != nil {
		b.t.Fatal(err)
	}
	return routing.Route{Name: name, Match: m}
}

const waits = `echo up $ZIO_GATEWAY_FLOW; exec sleep 1000`

// Flows wait for a place, of their route and of all, in their order.
func TestPlaces(t *testing.T) {
	b := setUp(t, func(_ *broker.Options, o *spawn.Options) { o.MaxProcesses = 3 })
	one := sh(waits)
	one.MaxProcesses = 1
	b.route(b.only("one"), one)
	b.route(b.only("any"), sh(waits))
	explained := func() string {
		view := &matching.View{Label: []byte(`{"which":"any"}`)}
		verdicts, err := b.broker.Explain(t.Context(), view)
		if err != nil {
			t.Fatal(err)
		}
		return verdicts[1].Explanation
	}
	first := b.open(`,"which":"one"`)
	b.logged("up 1")
	second := b.open(`,"which":"one"`) // waits, and holds nobody else up
	third := b.open(`,"which":"any"`)
	b.logged("up 3")
	if got := explained(); got != "is true" {
		t.Errorf("with a place left: %s", got)
	}
	b.open(`,"which":"any"`)
	b.logged("up 4")
	if got := explained(); !strings.HasPrefix(got, "is true; 3 of at most 3 commands run: ") {
		t.Errorf("without a place left: %s", got)
	}
	fifth := b.open(`,"which":"any"`)
	sixth := b.open(`,"which":"any"`)
	first.Leave("gone")
	b.logged("up 2")
	sixth.Leave("gone") // gives up waiting
	third.Leave("gone")
	b.logged("up 5")
	if err := b.spawner.SetMaxProcesses(4); err != nil {
		t.Fatal(err)
	}
	b.open(`,"which":"any"`)
	b.logged("up 7")
	if err := b.spawner.SetMaxProcesses(0); err == nil {
		t.Error("a limit of 0 was taken")
	}
	for _, p := range []*peer{second, fifth} {
		p.Leave("gone")
		b.wantEnd(p, flow.PeerGone, "")
	}
}

// Without a place until the pending deadline: overloaded.
func TestNoPlaceIsOverloaded(t *testing.T) {
	b := setUp(t, func(o *broker.Options, _ *spawn.Options) { o.PendingTimeout = 1500 * time.Millisecond })
	one := sh(`echo task $(cat); exec sleep 1000`)
	one.MaxProcesses = 1
	b.route(routing.Route{Name: "r"}, one)
	late := b.open("")
	b.wantEnd(late, flow.HandlerTimeout, "command sh did not accept in time")
	b.said("task ")
	first := b.open("")
	var task struct{ CID uint64 }
	if err := json.Unmarshal([]byte(b.said("task ")), &task); err != nil {
		t.Fatal(err)
	}
	b.accept(task.CID)
	b.wantEnd(b.open(""), flow.Overloaded, "route r runs as many commands as it may")
	first.Leave("gone")
}

// Before the gateway knows its own addresses, no command is started.
func TestCommandsWaitForTheAddresses(t *testing.T) {
	b := setUp(t, nil)
	spawner, err := spawn.New(spawn.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	factory, err := spawner.Factory("r", sh(`exit 7`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.broker.AddRoute(routing.Route{Name: "r", Factory: factory}); err != nil {
		t.Fatal(err)
	}
	gone, stays := b.open(""), b.open("")
	gone.Leave("gone")
	b.wantEnd(gone, flow.PeerGone, "")
	spawner.SetAddresses(spawn.Addresses{})
	spawner.SetAddresses(spawn.Addresses{GRPC: "elsewhere"})
	b.wantEnd(stays, flow.Rejected, "exited with status 7")
	b.stop()
	if err := spawner.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Commands leave neither descriptors nor children behind.
func TestNothingIsLeft(t *testing.T) {
	b := setUp(t, nil)
	b.route(b.only("exits"), sh(`exit 1`))
	b.route(b.only("stays"), sh(`echo up; exec sleep 1000`))
	round := func(n int) {
		for range n {
			b.wantEnd(b.open(`,"which":"exits"`, make([]byte, 1<<17)), flow.Rejected, "status 1")
			stays := b.open(`,"which":"stays"`)
			b.logged("command: up")
			stays.Leave("gone")
			b.wantEnd(stays, flow.PeerGone, "")
			b.logged("command ended")
			b.logged("command ended")
		}
	}
	round(2)
	before := descriptors(t)
	round(20)
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors are open, before it were %d", after, before)
	}
	b.stop()
	children, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err == nil && len(bytes.TrimSpace(children)) > 0 {
		t.Errorf("children are left: %s", children)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// What a command writes does not flood the log.
func TestOutputIsBounded(t *testing.T) {
	b := setUp(t, nil)
	b.route(routing.Route{Name: "r"}, sh(`head -c 5000 /dev/zero | tr '\0' x; echo; printf 'bad \377 byte\r\n'; `+
		`i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; printf last`))
	b.wantEnd(b.open(""), flow.Rejected, "status 0")
	b.stop()
	close(b.log)
	lines, left := 0, 0
	for line := range b.log {
		var n int
		if _, number, is := strings.Cut(line, "lines_left_out="); is {
			if _, err := fmt.Sscan(number, &n); err != nil {
				t.Fatal(err)
			}
			left += n
		}
		if !strings.Contains(line, `msg="command: `) {
			continue
		}
		lines++
		switch {
		case lines == 1 && strings.Count(line, "x") != 1024, lines == 1 && !strings.Contains(line, `x…"`):
			t.Errorf("a long line is logged as %d bytes: %s", len(line), line)
		case lines == 2 && !strings.Contains(line, "bad \uFFFD byte\""):
			t.Errorf("bytes that are no text are logged as %s", line)
		}
	}
	if lines+left != 5003 || lines < 50 || left == 0 {
		t.Errorf("%d lines were logged and %d left out, of 5003", lines, left)
	}
}

func TestCommandValidate(t *testing.T) {
	for want, c := range map[string]spawn.Command{
		"command: names no program":            {},
		"command: names no program ":           {Arguments: []string{""}},
		"command: has a zero byte":             {Arguments: []string{"x", "a\x00"}},
		"max_processes: is -1, want 0 or more": {Arguments: []string{"x"}, MaxProcesses: -1},
		"max_time: is -1ns, want 0 or more":    {Arguments: []string{"x"}, MaxTime: -1},
	} {
		if err := c.Validate(); err == nil || err.Error() != strings.TrimSpace(want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// What a command has started goes with it also when it has left its group and its
// session, and its parent has exited long before: when the command exits, when the flow
// ends, and when somebody kills the keeper.
func TestWhatHidesIsKilled(t *testing.T) {
	const daemon = `(setsid sh -c 'trap "" TERM HUP; echo daemon $$; while :; do sleep 1000; done' >&1 2>&1 </dev/null &); ` +
		`setsid setsid sh -c 'echo another $$; exec sleep 1000' & `
	t.Run("command exits", func(t *testing.T) {
		b := setUp(t, nil)
		gate := t.TempDir() + "/gate"
		if err := syscall.Mkfifo(gate, 0o600); err != nil {
			t.Fatal(err)
		}
		b.route(routing.Route{Name: "r"}, spawn.Command{Arguments: []string{"sh", "-c", daemon + `cat "$0"; exit 4`, gate}})
		client := b.open("")
		daemon, another := b.said("daemon "), b.said("another ")
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		b.wantEnd(client, flow.Rejected, "status 4")
		b.wantGone(daemon)
		b.wantGone(another)
	})
	t.Run("flow ends", func(t *testing.T) {
		b := setUp(t, nil)
		b.route(routing.Route{Name: "r"}, sh(daemon+`exec sleep 1000`))
		client := b.open("")
		daemon, another := b.said("daemon "), b.said("another ")
		client.Leave("gone")
		b.wantGone(daemon)
		b.wantGone(another)
	})
	t.Run("command heeds nothing", func(t *testing.T) {
		b := setUp(t, nil)
		b.route(routing.Route{Name: "r"}, sh(daemon+`trap '' TERM; while :; do sleep 1000; done`))
		client := b.open("")
		daemon, another := b.said("daemon "), b.said("another ")
		client.Leave("gone")
		b.logged("does not heed SIGTERM")
		b.wantGone(daemon)
		b.wantGone(another)
	})
	t.Run("keeper is slow", func(t *testing.T) { // as on a machine that has much to do
		const grace = 50 * time.Millisecond
		b := setUp(t, func(_ *broker.Options, o *spawn.Options) { o.Grace = grace })
		b.route(routing.Route{Name: "r"}, sh(`echo keeper $PPID; `+daemon+`exec sleep 1000`))
		client := b.open("")
		keeper, err := strconv.Atoi(b.said("keeper "))
		if err != nil {
			t.Fatal(err)
		}
		daemon, another := b.said("daemon "), b.said("another ")
		if err := syscall.Kill(keeper, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		client.Leave("gone")
		b.logged("does not heed SIGTERM")
		time.Sleep(4 * grace) // in which nobody may lose patience with it
		if err := syscall.Kill(keeper, syscall.SIGCONT); err != nil {
			t.Errorf("the keeper is gone: %v", err)
		}
		b.wantGone(daemon)
		b.wantGone(another)
	})
	t.Run("keeper is killed", func(t *testing.T) {
		b := setUp(t, nil)
		b.route(routing.Route{Name: "r"}, sh(`sleep 1000 & echo child $!; echo command $$; kill -9 $PPID; exec sleep 1000`))
		client := b.open("")
		child, command := b.said("child "), b.said("command ")
		b.wantEnd(client, flow.Rejected, "was killed by SIGKILL before it accepted")
		b.wantGone(child)
		b.wantGone(command)
	})
}

// What a command has started goes when the command exits, whatever it ignores.
func TestWhatACommandLeavesIsKilled(t *testing.T) {
	b := setUp(t, nil)
	b.route(routing.Route{Name: "r"}, sh(`(trap '' TERM HUP; exec sleep 1000) & echo child $!; exit 4`))
	b.wantEnd(b.open(""), flow.Rejected, "status 4")
	b.wantGone(b.said("child "))
}
