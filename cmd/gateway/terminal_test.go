package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// tmux is a terminal with a shell in it, which somebody types into and looks at.
type tmux struct {
	t           *testing.T
	socket      string
	environment []string
}

func newTmux(t *testing.T, environment []string) *tmux {
	t.Helper()
	folder, err := os.MkdirTemp("", "tmux") // the name of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	environment = append(environment, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR=", "HISTFILE=")
	rc := filepath.Join(folder, "rc")
	if err := os.WriteFile(rc, []byte("PS1='$ '\nbind 'set enable-bracketed-paste off'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := &tmux{t, filepath.Join(folder, "s"), environment}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the terminal shows\n%s", x.screen())
		}
		_ = exec.CommandContext(context.Background(), "tmux", "-S", x.socket, "kill-server").Run() //nolint:gosec // our own
		_ = os.RemoveAll(folder)
	})
	x.tmux("-f", "/dev/null", "new-session", "-d", "-x", "160", "-y", "24", "bash --rcfile "+rc)
	x.wait(`^\$$`)
	return x
}

func (x *tmux) tmux(arguments ...string) string {
	x.t.Helper()
	c := exec.CommandContext(context.Background(), "tmux", append([]string{"-S", x.socket}, arguments...)...) //nolint:gosec // our own
	c.Env = x.environment
	out, err := c.CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %q: %v: %s", arguments, err, out)
	}
	return string(out)
}

// types types text; press presses keys by tmux's names.
func (x *tmux) types(text string)    { x.t.Helper(); x.tmux("send-keys", "-l", text) }
func (x *tmux) press(keys ...string) { x.t.Helper(); x.tmux(append([]string{"send-keys"}, keys...)...) }

// enters types a line.
func (x *tmux) enters(line string) {
	x.t.Helper()
	x.types(line)
	x.press("Enter")
}

// screen is what is seen, without the lines that are empty at its end; with escape sequences
// for colours, if wanted.
func (x *tmux) screen(options ...string) string {
	return strings.TrimRight(x.tmux(append([]string{"capture-pane", "-p"}, options...)...), "\n ")
}

// wait waits until a line is seen that matches, and returns it.
func (x *tmux) wait(pattern string) string {
	x.t.Helper()
	wanted := regexp.MustCompile(pattern)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		for line := range strings.SplitSeq(x.screen(), "\n") {
			if line = strings.TrimRight(line, " "); wanted.MatchString(line) {
				return line
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			x.t.Fatalf("%q was never seen in\n%s", pattern, x.screen())
		}
	}
}

// clear has nothing be seen but the prompt.
func (x *tmux) clear() {
	x.t.Helper()
	x.enters("clear")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if x.screen() == "$" {
			return
		}
	}
}

// until waits until a command succeeds.
func (x *tmux) until(command string) {
	x.t.Helper()
	x.enters("until " + command + "; do sleep 0.1; done; echo so it is")
	x.wait(`^so it is$`)
}

// TestTerminal is an operator at work: tables with colours, top with its keys, questions,
// completion, and a put that is interrupted.
func TestTerminal(t *testing.T) {
	t.Parallel()
	address := serving(t)["grpc"].(string)
	environment := program(t, address)
	x, other := newTmux(t, environment), newTmux(t, environment)
	other.enters("gateway put --count 1000000000 --size 1000 builtin=dump stream=raw; echo ended with $?")
	x.until("gateway flows -s active | grep -q raw")
	x.clear()

	// Tables, in colours.
	x.enters("gateway flows")
	x.wait(`^ +1  active .*→  builtin dump  builtin=dump stream=raw$`)
	if colours := x.screen("-e"); !strings.Contains(colours, "\x1b[32mactive") || !strings.Contains(colours, "\x1b[1m") {
		t.Errorf("there are no colours in\n%q", colours)
	}
	x.clear()
	x.enters("NO_COLOR=1 gateway flows; gateway flows | cat")
	x.wait(`stream=raw$`)
	x.wait(`^\$$`)
	if colours := x.screen("-e"); strings.Contains(colours, "\x1b[32m") {
		t.Errorf("there are colours in\n%q", colours)
	}
	x.clear()
	x.enters("source <(gateway completion bash)")
	x.types("gateway log-l")
	x.press("Tab")
	x.enters("error")
	x.wait(`^the log level is error, it was info`)

	topKeys(x)
	questions(x, other)

	// A put that is interrupted ends its flow in order.
	other.clear()
	other.enters("gateway put --count 1000000000 --size 1000 builtin=dump stream=cut; echo ended with $?")
	x.clear()
	x.until("gateway flows | grep -q cut")
	other.press("C-c")
	other.wait(`^ended with 130`)
	x.clear()
	x.enters("gateway flows -a -f 'attributes.stream == \"cut\"'")
	x.wait(`^ +\d+  completed .* stream=cut$`)

	// Waiting for the last flow to go.
	other.clear()
	other.enters("gateway put --count 1000000000 --size 1000 builtin=dump; echo ended with $?")
	x.until("gateway flows | grep -q dump")
	x.clear()
	x.enters("gateway drain --wait; echo ended with $?")
	x.wait(`^1 flow is left`)
	x.press("C-c")
	x.wait(`^gateway: interrupted; 1 flow is left, and the gateway goes on refusing new ones`)
	x.wait(`^ended with 130`)
	other.press("C-c")
	other.wait(`^ended with 130`)
	x.enters("gateway drain --wait && gateway undrain")
	x.wait(`^the gateway takes new flows`)
}

// topKeys looks at top, and gives the terminal back.
func topKeys(x *tmux) {
	x.t.Helper()
	x.clear()
	x.enters("gateway top --interval 200ms")
	x.wait(`^gateway \S+ at 127\.0\.0\.1:\d+  up .*takes flows`)
	x.wait(`^data  [\d,.]+/s  \d.*/s +[▁▂▃▄▅▆▇█]+ +queued`)
	x.wait(`^ +1  active +[\d,.]+/s .*[▁▂▃▄▅▆▇█] +\d+/10  .*builtin=dump stream=raw$`)
	x.press("s")
	x.wait(`s sort: bytes`)
	x.press("Enter")
	x.wait(`^from client +[\d,]+ messages`)
	x.press("x", "f")
	x.types(`attributes.stream == "none"`)
	x.press("Enter")
	x.wait(`^no flows`)
	x.press("f", "C-u", "Enter")
	x.wait(`stream=raw$`)
	x.press("q")
	x.wait(`^\$$`)
}

// questions are asked before something is ended; anything but yes is no.
func questions(x, other *tmux) {
	x.t.Helper()
	x.clear()
	x.enters("gateway end 1; echo ended with $?")
	x.wait(`^ +1  active .*stream=raw$`)
	x.wait(`^End 1 flow\? \[y/N\]`)
	x.press("Enter")
	x.wait(`^gateway: nothing was done`)
	x.wait(`^ended with 7`)
	x.clear()
	x.enters("gateway end 1; echo ended with $?")
	x.wait(`^End 1 flow\? \[y/N\]`)
	x.press("C-c")
	x.wait(`^ended with 130`)
	x.clear()
	x.enters("gateway end -f 'attributes.stream == \"raw\"' -m 'beam off'")
	x.wait(`^End 1 flow\? \[y/N\]`)
	x.enters("y")
	x.wait(`^ended flow 1: builtin=dump stream=raw`)
	other.wait(`ended_by_admin: beam off`)
	other.wait(`^ended with 1$`)
}
