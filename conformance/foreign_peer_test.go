package main_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
)

// foreignPeer is a peer in a process of its own, on a library that is not ours.
// One goroutine uses it at a time.
type foreignPeer struct {
	kind     foreignKind
	command  *exec.Cmd
	input    *os.File
	received chan [][]byte // closed at the end of the process's output
	stderr   bytes.Buffer  // to be read after wait
	left     bool
}

// startForeignPeer starts a peer, with more arguments than those that it needs, until
// the test's end: then it has to exit in good order, unless it was killed.
func startForeignPeer(t *testing.T, k foreignKind, address string, keys *native.CurveKeys, settings ...string) *foreignPeer {
	t.Helper()
	arguments, err := k.command()
	if err != nil {
		t.Fatal(err)
	}
	settings = append(settings, "address="+address, "socket="+map[transportName]string{viaClient: "client", viaDealer: "dealer"}[k.via])
	if keys != nil {
		settings = append(settings, "server="+keys.Server, "public="+keys.Public, "secret="+keys.Secret)
	}
	p := &foreignPeer{kind: k, received: make(chan [][]byte, 64)}
	p.command = exec.Command(arguments[0], append(arguments[1:len(arguments):len(arguments)], settings...)...)
	p.command.Stderr = &p.stderr
	output, err := p.start()
	if err != nil {
		t.Fatal(err)
	}
	go p.read(output)
	t.Cleanup(func() {
		if err := p.stop(); err != nil || t.Failed() {
			t.Errorf("%v has ended with %v and said:\n%s", k, err, p.stderr.String())
		}
	})
	return p
}

// start starts the process and returns its standard output. Its input is a pipe that
// knows deadlines.
func (p *foreignPeer) start() (output *os.File, err error) {
	theirInput, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	output, theirOutput, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.input, p.command.Stdin, p.command.Stdout = input, theirInput, theirOutput
	err = startWithParent(p.command)
	return output, errors.Join(err, theirInput.Close(), theirOutput.Close())
}

// read passes on what the process has received.
func (p *foreignPeer) read(output io.ReadCloser) {
	defer func() { _ = output.Close() }()
	defer close(p.received)
	in := bufio.NewReader(output)
	for {
		parts, err := readForeign(in)
		if err != nil {
			return // the process has ended
		}
		p.received <- parts // wait takes them when nobody else does any more
	}
}

func readForeign(in io.Reader) ([][]byte, error) {
	var number [4]byte
	if _, err := io.ReadFull(in, number[:]); err != nil {
		return nil, err
	}
	parts := make([][]byte, binary.BigEndian.Uint32(number[:]))
	for i := range parts {
		if _, err := io.ReadFull(in, number[:]); err != nil {
			return nil, err
		}
		parts[i] = make([]byte, binary.BigEndian.Uint32(number[:]))
		if _, err := io.ReadFull(in, parts[i]); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

func (p *foreignPeer) send(m *zio.Message) error {
	parts := [][]byte{m.AppendEncoded(nil)}
	if p.kind.via == viaDealer {
		parts = append([][]byte{nil, m.AppendPrefix(nil), m.AppendCoord(nil)}, m.Payload...)
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(len(parts)))
	for _, part := range parts {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(part))), part...)
	}
	if err := p.input.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := p.input.Write(out)
	return err
}

func (p *foreignPeer) recv() (*message, error) { return p.recvWithin(patience) }

// recvWithin is native.ErrTimeout if nothing comes in that time.
func (p *foreignPeer) recvWithin(wait time.Duration) (*message, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case parts, ok := <-p.received:
		if !ok {
			return nil, fmt.Errorf("%v has exited", p.kind)
		}
		return p.decode(parts)
	case <-timer.C:
		return nil, fmt.Errorf("%v: %w", p.kind, native.ErrTimeout)
	}
}

func (p *foreignPeer) decode(parts [][]byte) (*message, error) {
	m := new(zio.Message)
	switch {
	case p.kind.via == viaClient && len(parts) == 1:
		if err := m.Decode(parts[0]); err != nil {
			return nil, err
		}
	case p.kind.via == viaDealer && len(parts[0]) == 0:
		if err := m.DecodeParts(parts[1:]); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%v received %d parts, the first with %d bytes", p.kind, len(parts), len(parts[0]))
	}
	return newMessage(m)
}

func (p *foreignPeer) finish(bool) error {
	select {
	case parts := <-p.received:
		return fmt.Errorf("after the last message came %d parts", len(parts))
	default: // what would follow came in the same burst; later it disturbs the next flow
		return nil
	}
}

// leave kills the process.
func (p *foreignPeer) leave() {
	if !p.left {
		p.left = true
		_ = p.command.Process.Kill()
		p.wait()
	}
}

// wait waits for the process's end.
func (p *foreignPeer) wait() {
	_ = p.input.Close()
	for range p.received {
	}
	_ = p.command.Wait() // the state says it
}

// stop ends the process in good order, unless it has gone.
func (p *foreignPeer) stop() error {
	if p.left {
		return nil
	}
	p.left = true
	_ = p.command.Process.Signal(syscall.SIGCONT) // it may be frozen
	kill := time.AfterFunc(patience, func() { _ = p.command.Process.Kill() })
	defer kill.Stop()
	p.wait()
	if !p.command.ProcessState.Success() {
		return errors.New(p.command.ProcessState.String())
	}
	return nil
}

// freeze stops the process where it is, thaw lets it go on.
func (p *foreignPeer) freeze(t *testing.T) { p.signal(t, syscall.SIGSTOP) }
func (p *foreignPeer) thaw(t *testing.T)   { p.signal(t, syscall.SIGCONT) }

func (p *foreignPeer) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// skipTo receives a message of that type, and what comes before.
func (p *foreignPeer) skipTo(t *testing.T, want zio.Type) *message {
	t.Helper()
	for {
		m, err := p.recv()
		if err != nil {
			t.Fatalf("waiting for %v: %v", want, err)
		}
		if m.Type == want {
			return m
		}
	}
}
