//go:build soak

package soak

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// quickly is how long `make run` should take on a bare machine, from clone to data
// moving. How long it does take is reported; the machine has the greater part in it.
const quickly = 60 * time.Second

var bareTook = regexp.MustCompile(`(?m)^bare: make (run|test): (\d+) s`)

// TestBareMachine follows the README on a machine that has nothing but make and git:
// `make run`, and `make test` unless a smaller soak was asked for.
func TestBareMachine(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a machine to try it on")
	}
	parts := []string{"run", "test"}
	if scale < 1 {
		parts = parts[:1]
	}
	var out bytes.Buffer
	command := exec.CommandContext(t.Context(), "../scripts/bare.sh", parts...)
	command.Stdout, command.Stderr = &out, &out
	// It cleans up behind itself, also when the soak is killed.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = time.Minute
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	took := map[string]time.Duration{}
	for _, m := range bareTook.FindAllStringSubmatch(out.String(), -1) {
		seconds, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		took[m[1]] = time.Duration(seconds) * time.Second
	}
	if len(took) != len(parts) {
		t.Fatalf("%v were tried, and this is told of it:\n%s", parts, out.Bytes())
	}
	report(t, "make run within "+quickly.String()+"; make test passes", "took %v", took)
}
