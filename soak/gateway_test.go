//go:build soak

package soak

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long something may take that has no figure of its own.
const patience = 20 * time.Second

// gateway is a running gateway process.
type gateway struct {
	binary  string
	log     string   // the file
	output  *os.File // in place of the file, if not nil; the caller's
	command *exec.Cmd
	exited  chan error // holds what Wait answered
	// addresses is where each transport's peers connect.
	addresses map[transport]string
	http      string        // where it tells of itself
	ready     time.Duration // from the start of the process
}

// anyPort are the flags of a gateway on ports of its own choice.
var anyPort = []string{
	"--zmq-server=tcp://127.0.0.1:*", "--zmq-router=tcp://127.0.0.1:*", "--grpc=127.0.0.1:0", "--http=127.0.0.1:0",
}

// startGateway starts the binary and stops it when the test ends: then it must
// still be there, and end in good order.
func startGateway(t *testing.T, flags ...string) *gateway {
	t.Helper()
	binary, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	return startBinary(t, binary, flags...)
}

func startBinary(t *testing.T, binary string, flags ...string) *gateway {
	t.Helper()
	return startInto(t, nil, binary, flags...)
}

// startInto is startBinary for a gateway that logs into that.
func startInto(t *testing.T, output *os.File, binary string, flags ...string) *gateway {
	t.Helper()
	g := &gateway{binary: binary, output: output}
	if err := g.start(append(anyPort, flags...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.stop(); err != nil {
			t.Errorf("gateway: %v; its log is %s", err, g.log)
		}
	})
	return g
}

// start runs the process until it is ready.
func (g *gateway) start(flags []string) error {
	dir, err := os.MkdirTemp(workDir, "gateway")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "ready.json")
	g.log = filepath.Join(dir, "log")
	log, err := os.Create(g.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own
	g.command = exec.Command(g.binary, append([]string{"serve", "--default-routes", "--node=none", "--ready-file=" + file}, flags...)...)
	g.command.Stdout, g.command.Stderr = log, log
	if g.output != nil {
		g.command.Stdout, g.command.Stderr = g.output, g.output
	}
	g.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := g.command.Start(); err != nil {
		return err
	}
	g.exited = make(chan error, 1)
	go func() { g.exited <- g.command.Wait() }()
	if err := g.readReady(file); err != nil {
		_ = g.command.Process.Kill()
		return fmt.Errorf("%w; its log is %s", err, g.log)
	}
	g.ready = time.Since(began)
	return nil
}

// readReady waits for the ready file, which appears complete.
func (g *gateway) readReady(file string) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		text, err := os.ReadFile(file)
		if err == nil {
			return g.parseReady(text)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-ticker.C:
		case err := <-g.exited:
			return fmt.Errorf("gateway ended at once: %w", err)
		case <-timer.C:
			return errors.New("gateway is not ready")
		}
	}
}

func (g *gateway) parseReady(text []byte) error {
	var bound struct {
		ZMQServer []string `json:"zmq_server"`
		ZMQRouter []string `json:"zmq_router"`
		GRPC      string   `json:"grpc"`
		HTTP      string   `json:"http"`
	}
	if err := json.Unmarshal(text, &bound); err != nil {
		return err
	}
	g.http = bound.HTTP
	g.addresses = map[transport]string{
		viaClient: bound.ZMQServer[0], viaDealer: bound.ZMQRouter[0], viaGRPC: bound.GRPC,
	}
	return nil
}

// samePorts are the flags with which a successor takes over the addresses.
func (g *gateway) samePorts() []string {
	return []string{
		"--zmq-server=" + g.addresses[viaClient], "--zmq-router=" + g.addresses[viaDealer],
		"--grpc=" + g.addresses[viaGRPC], "--http=none",
	}
}

func (g *gateway) pid() int { return g.command.Process.Pid }

// kill ends the process as a crash would.
func (g *gateway) kill() error {
	if err := g.command.Process.Kill(); err != nil {
		return err
	}
	err := <-g.exited
	g.exited = nil
	if err == nil {
		return errors.New("gateway had ended before it was killed")
	}
	return nil
}

// stop ends the process in good order; after kill it does nothing.
func (g *gateway) stop() error {
	if g.exited == nil {
		return nil
	}
	_ = g.command.Process.Signal(syscall.SIGTERM) // fails only where it has exited
	var err error
	select {
	case err = <-g.exited:
	case <-time.After(patience):
		_ = g.command.Process.Signal(syscall.SIGQUIT) // for the goroutines in the log
		err = errors.Join(errors.New("did not stop on SIGTERM"), <-g.exited)
	}
	g.exited = nil
	return errors.Join(err, g.faults())
}

// goroutines ends the process with a dump, and counts.
func (g *gateway) goroutines() (int, error) {
	// To the main thread: libzmq's own would die without a word.
	if err := unix.Tgkill(g.pid(), g.pid(), unix.SIGQUIT); err != nil {
		return 0, err
	}
	err := <-g.exited
	g.exited = nil
	if err == nil {
		return 0, errors.New("gateway ended without a dump")
	}
	log, err := os.ReadFile(g.log)
	return bytes.Count(log, []byte("\ngoroutine ")), err
}

// faults looks for what a log must not have.
func (g *gateway) faults() error {
	log, err := os.ReadFile(g.log)
	if err != nil {
		return err
	}
	for _, word := range []string{"panic:", "DATA RACE", "fatal error:", "Assertion failed"} {
		if strings.Contains(string(log), word) {
			return fmt.Errorf("its log has %q", word)
		}
	}
	return nil
}
