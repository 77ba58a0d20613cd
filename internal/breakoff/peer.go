// Package breakoff has gRPC clients of several languages break off in the middle of a
// flow, directly or behind a proxy, and tells what became of the flow. It is for tests.
package breakoff

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Job is what a peer does before it breaks off, and how it does that.
type Job struct {
	Address string `json:"address"`
	// Call is "open" or "put", to give as the client; "handle" to give as the handler;
	// or "take", to take with its sending half closed.
	Call string `json:"call"`
	// End is "cancel", "deadline", "close" or "kill"; or, with grpc-go, "finish", which is
	// no breaking off: the sending half is closed, and the call goes on to its end.
	End string `json:"end"`
	// Dats is how many messages of Size bytes move before that, of Credit.
	Dats       int            `json:"dats"`
	Size       int            `json:"size"`
	Credit     int            `json:"credit"`
	CID        uint64         `json:"cid,omitempty"`
	Attributes map[string]any `json:"attributes"`
	DeadlineMS int            `json:"deadline_ms,omitempty"`
}

// Peer does jobs, one at a time.
type Peer interface {
	// Begin does a job up to the point at which it is to break off.
	Begin(context.Context, Job) error
	// BreakOff does that, and returns when the call has ended for the peer.
	BreakOff() error
	Close()
}

// script is a Peer that is a process: conformance/node/breakoff.mjs or breakoff.py.
type script struct {
	command func() *exec.Cmd
	running *exec.Cmd // nil before the first job, and after it was killed
	in      io.WriteCloser
	out     *bufio.Reader
	stderr  *strings.Builder
	job     Job
}

// Node is a Peer with @grpc/grpc-js; root is the project's.
func Node(root string) Peer {
	return &script{command: func() *exec.Cmd { return exec.Command("node", filepath.Join(root, "conformance/node/breakoff.mjs")) }}
}

// Python is a Peer with grpcio.
func Python(root string) Peer {
	return &script{command: func() *exec.Cmd {
		c := exec.Command(filepath.Join(root, ".deps/python/bin/python"), filepath.Join(root, "conformance/breakoff.py"))
		c.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(root, "clients/python/src"), "PYTHONDONTWRITEBYTECODE=1")
		return c
	}}
}

func (s *script) start() (err error) {
	c := s.command()
	s.stderr = new(strings.Builder)
	c.Stderr = s.stderr
	in, err := c.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	s.running, s.in, s.out = c, in, bufio.NewReader(out)
	return nil
}

// Begin implements Peer.
func (s *script) Begin(ctx context.Context, job Job) error {
	if s.running == nil {
		if err := s.start(); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = s.running.Process.Kill() })()
	s.job = job
	text, err := json.Marshal(job)
	if err != nil {
		return err
	}
	if line, err := s.say(string(text)); err != nil || line != "ready" {
		return fmt.Errorf("%v said %q, %w\n%s", s.running.Args, line, err, s.stderr)
	}
	return nil
}

// say writes a line and reads one.
func (s *script) say(line string) (string, error) {
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		return "", err
	}
	answer, err := s.out.ReadString('\n')
	return strings.TrimSpace(answer), err
}

// BreakOff implements Peer.
func (s *script) BreakOff() error {
	if s.job.End == "kill" {
		err := s.running.Process.Kill()
		_ = s.running.Wait() // killed, as it says
		s.running = nil
		return err
	}
	line, err := s.say("")
	if err != nil {
		return fmt.Errorf("%v: %w\n%s", s.running.Args, err, s.stderr)
	}
	if code, err := strconv.Atoi(line); err != nil || code == 0 {
		return fmt.Errorf("%v: the call ended with %q, which is no failure", s.running.Args, line)
	}
	return nil
}

// Close implements Peer.
func (s *script) Close() {
	if s.running != nil {
		_ = s.in.Close()
		_ = s.running.Process.Kill()
		_ = s.running.Wait()
		s.running = nil
	}
}
