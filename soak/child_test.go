//go:build soak

package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// childVariable makes this binary a peer instead of a test.
const childVariable = "SOAK_CHILD"

// childSpec says what a child process does: it takes part in one flow until it
// is told to go, or is killed.
type childSpec struct {
	Via     transport
	Address string
	Gives   bool
	CID     uint64 // 0 for a client
	Pair    uint64
	Size    int
}

// How a child goes when it is told to, by a line on its standard input.
const (
	goClose = "close" // without linger
	goLeave = "leave" // EOT, and away without waiting for the answer
)

// moving is what a child says when data moves.
const moving = "moving"

// childCredit is the credit of a child's flow.
const childCredit = 10

// beChild is a child's main; it answers the exit code.
func beChild(text string) int {
	var spec childSpec
	err := json.Unmarshal([]byte(text), &spec)
	if err == nil {
		err = spec.run()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func (spec childSpec) run() error {
	p, err := dial(spec.Via, spec.Address)
	if err != nil {
		return err
	}
	s := &side{peer: p, pair: spec.Pair, gives: spec.Gives}
	if err := s.begin(childCredit, spec.CID, pairAttribute(spec.Pair)); err != nil {
		return err
	}
	orders := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		orders <- strings.TrimSpace(line) // empty when the parent has gone
	}()
	for {
		if err := s.step(spec.Size, 5*time.Millisecond); err != nil && !isTimeout(err) {
			return err
		}
		if s.count == 5 {
			fmt.Println(moving)
		}
		select {
		case order := <-orders:
			if order == goLeave {
				if err := s.send(eotMessage()); err != nil {
					return err
				}
				s.leave()
			} else {
				s.close()
			}
			return nil
		default:
		}
	}
}

// child is a running child process.
type child struct {
	command *exec.Cmd
	orders  io.WriteCloser
	moving  chan error // what came of the start
}

func startChild(spec childSpec) (*child, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	c := &child{command: exec.Command(os.Args[0]), moving: make(chan error, 1)}
	c.command.Env = append(os.Environ(), childVariable+"="+string(text))
	c.command.Stderr = os.Stderr
	c.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.orders, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if line = strings.TrimSpace(line); err == nil && line != moving {
			err = errors.New(line)
		}
		c.moving <- err
	}()
	return c, nil
}

// order tells the child how to go.
func (c *child) order(how string) error {
	_, err := io.WriteString(c.orders, how+"\n")
	return err
}

// end kills the child if it is still there, frozen or not.
func (c *child) end() {
	_ = c.command.Process.Kill()
	_ = c.command.Wait()
}
