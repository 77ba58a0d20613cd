//go:build soak

package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// honestAttributes are what a listener goes by, and hostile BOTs do not have.
const honestAttributes = `,"honest":true,"word":"Größe","number":4611686018427387904`

// honestDATs is how many messages an honest flow has.
const honestDATs = 5

// TestListeners has a listener of each language beside hostile BOTs that are meant for
// it: it goes on, and the honest offers that come between them are as they were sent.
func TestListeners(t *testing.T) {
	for _, language := range []struct {
		name  string
		start func(*testing.T, *gateway, string) (listenerUnderTest, error)
	}{
		{"Go", startGoListener},
		{"Python", startListenerProgram("../.deps/python/bin/python", "listener.py")},
		{"Node", startListenerProgram("node", "../conformance/node/listener.mjs")},
	} {
		t.Run(language.name, func(t *testing.T) {
			rng := seeded(t)
			g := startGateway(t)
			listener, err := language.start(t, g, language.name)
			if err != nil {
				t.Fatal(err)
			}
			testListener(t, g, language.name, listener, rng)
		})
	}
}

func testListener(t *testing.T, g *gateway, name string, listener listenerUnderTest, rng *rand.Rand) {
	var (
		honest  atomic.Int64
		answers tally
		wait    sync.WaitGroup
		done    = make(chan struct{})
		seed    = rng.Uint64()
		total   = scaled(1000, 4*len(oddities))
	)
	wait.Go(func() {
		for i := 0; ; i++ {
			if err := honestFlow(g, name, transports[i%3]); err != nil {
				t.Errorf("honest flow %d via %s: %v", i, transports[i%3], err)
				return
			}
			honest.Add(1)
			select {
			case <-done:
				return
			default:
			}
		}
	})
	inParallel(total, 4, func(i int) {
		o := oddities[i%len(oddities)]
		answer, err := o.open(g, name, transports[i/len(oddities)%3], rand.New(rand.NewPCG(seed, uint64(i))))
		if err != nil {
			t.Errorf("%s, %d: %v", o.name, i, err)
		}
		answers.add(answer)
	})
	close(done)
	wait.Wait()
	seen, err := listener.stop()
	if err != nil {
		t.Errorf("the listener: %v", err)
	}
	u := g.usage(t)
	report(t, "the listener goes on, and takes each honest flow",
		"%d hostile BOTs of %d kinds (%v), of which it was offered %d; %d honest flows beside them, all whole; gateway's peak RSS %s",
		total, len(oddities), &answers, seen.Declined, honest.Load(), mib(u.peak))
	if seen.Honest != honest.Load() || seen.Messages != honestDATs*honest.Load() {
		t.Errorf("it has seen %+v, want %d honest flows of %d messages", seen, honest.Load(), honestDATs)
	}
	if seen.Declined == 0 {
		t.Error("it was offered nothing hostile: this shows nothing")
	}
}

// honestFlow gives a listener a few messages.
func honestFlow(g *gateway, to string, via transport) error {
	p, err := dialBare(via, g.addresses[via], 0)
	if err != nil {
		return err
	}
	defer p.close()
	s := &side{peer: p, gives: true}
	if err := s.begin(10, 0, fmt.Sprintf(`,"to":"%s"`, to)+honestAttributes); err != nil {
		return err
	}
	return s.carry(honestDATs, 1000, patience, func() {})
}

// listenerSeen is what a listener has seen.
type listenerSeen struct{ Honest, Declined, Messages int64 }

type listenerUnderTest interface {
	// stop ends the listener, which must still be there.
	stop() (listenerSeen, error)
}

// listenerProgram is a listener in a process of its own.
type listenerProgram struct {
	command *exec.Cmd
	in      io.Closer
	out     *bufio.Reader
	errors  strings.Builder
}

func startListenerProgram(program, script string) func(*testing.T, *gateway, string) (listenerUnderTest, error) {
	return func(t *testing.T, g *gateway, name string) (listenerUnderTest, error) {
		p := &listenerProgram{command: exec.Command(program, script, g.addresses[viaGRPC], name)}
		p.command.Env = append(os.Environ(), "PYTHONPATH=../clients/python/src")
		p.command.Stderr = &p.errors
		p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		in, err := p.command.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := p.command.StdoutPipe()
		if err != nil {
			return nil, err
		}
		p.in, p.out = in, bufio.NewReader(out)
		if err := p.command.Start(); err != nil {
			return nil, fmt.Errorf("%w: scripts/setup.sh soak provides it", err)
		}
		t.Cleanup(func() {
			if p.command.ProcessState == nil {
				_ = p.command.Process.Kill()
				_ = p.command.Wait()
			}
		})
		if line, err := p.line(); err != nil || line != "listening" {
			return nil, fmt.Errorf("it says %q: %w", line, errors.Join(err, p.end()))
		}
		return p, nil
	}
}

// line waits for what it says; a process that takes too long is killed.
func (p *listenerProgram) line() (string, error) {
	late := time.AfterFunc(3*patience, func() { _ = p.command.Process.Kill() })
	defer late.Stop()
	line, err := p.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// end waits for its end, and returns what it has said of it.
func (p *listenerProgram) end() error {
	if err := p.command.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, p.errors.String())
	}
	return nil
}

func (p *listenerProgram) stop() (seen listenerSeen, err error) {
	if err := p.in.Close(); err != nil {
		return seen, err
	}
	line, err := p.line()
	if err == nil {
		err = json.Unmarshal([]byte(line), &seen)
	}
	return seen, errors.Join(err, p.end())
}

// goListener is a listener of the Go client, in this process.
type goListener struct {
	gateway                    *zioflow.Gateway
	cancel                     context.CancelFunc
	ended                      chan error
	honest, declined, messages atomic.Int64
}

func startGoListener(t *testing.T, g *gateway, name string) (listenerUnderTest, error) {
	t.Helper()
	c, err := zioflow.Dial(g.addresses[viaGRPC])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &goListener{gateway: c, cancel: cancel, ended: make(chan error, 1)}
	listening := make(chan struct{})
	go func() {
		l.ended <- c.Handle(ctx, zioflow.Listener{
			Name: name, Match: fmt.Sprintf("attributes.to == '%s'", name),
			OnListening: func(uint64) { close(listening) },
		}, l.handle)
	}()
	t.Cleanup(func() { cancel(); _ = c.Close() })
	select {
	case <-listening:
		return l, nil
	case err := <-l.ended:
		return nil, err
	}
}

func (l *goListener) handle(_ context.Context, offer *zioflow.Offer) error {
	a := offer.Attributes
	if a["honest"] != true || a["word"] != "Größe" || a["number"] != int64(1)<<62 {
		l.declined.Add(1)
		return errors.New("hostile")
	}
	ctx := context.Background() // when no more offers are wanted, this one goes on
	taker, err := offer.Take(ctx, zioflow.Bot{Credit: 3})
	for err == nil {
		if _, err = taker.Next(ctx); err == nil {
			l.messages.Add(1)
		}
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	l.honest.Add(1)
	return nil
}

func (l *goListener) stop() (listenerSeen, error) {
	select {
	case err := <-l.ended:
		return listenerSeen{}, fmt.Errorf("the registration has ended: %w", err)
	default:
	}
	l.cancel()
	err := <-l.ended
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return listenerSeen{l.honest.Load(), l.declined.Load(), l.messages.Load()}, errors.Join(err, l.gateway.Close())
}
