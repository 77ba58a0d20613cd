//go:build soak

package soak

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/zio"
)

// TestRestart kills the gateway under load and starts it again on the same
// addresses: every side of every flow learns of it, and fresh flows work.
func TestRestart(t *testing.T) {
	g := startGateway(t)
	var (
		ready, told sample
		ends        tally
	)
	for i := range scaled(30, 3) {
		l, err := startLoad(g)
		if err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		if err := g.kill(); err != nil {
			t.Fatal(err)
		}
		if err := g.start(g.samePorts()); err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		ready.add(g.ready)
		began := time.Now()
		for _, m := range l.movers {
			err := m.learn()
			told.add(time.Since(began))
			ends.add(m.name + " " + reasonOf(err))
			if reasonOf(err) != "unknown flow" && reasonOf(err) != "status Unavailable" {
				t.Errorf("kill %d: %s ended with %v", i, m.name, err)
			}
			m.side.close()
		}
		for _, via := range transports {
			if _, err := freshFlow(g, via); err != nil {
				t.Errorf("kill %d: a fresh flow via %s: %v", i, via, err)
			}
		}
	}
	report(t, "ready again ≤ 1 s", "%v", &ready)
	report(t, "every client is told", "%v", &ends)
	report(t, "after the restart", "%v", &told)
	if ready.max() > time.Second {
		t.Errorf("ready after %v", ready.max())
	}
}

// load is flows in full swing between peers of all transports and the gateway's
// own handlers.
type load struct{ movers []*mover }

// mover moves data until something ends that.
type mover struct {
	side  *side
	name  string
	via   transport
	moved chan struct{} // closed when data has moved
	ended chan error
}

func startLoad(g *gateway) (*load, error) {
	l := &load{}
	for _, via := range transports {
		for _, gives := range []bool{true, false} {
			p, err := dial(via, g.addresses[via])
			if err != nil {
				return nil, err
			}
			m := &mover{
				side: &side{peer: p, gives: gives}, via: via,
				name:  map[bool]string{true: "giver ", false: "taker "}[gives] + string(via),
				moved: make(chan struct{}), ended: make(chan error, 1),
			}
			if err := m.side.begin(20, 0, `,"count":100000000,"size":2000`); err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			go m.run()
			l.movers = append(l.movers, m)
		}
	}
	for _, m := range l.movers {
		select {
		case <-m.moved:
		case err := <-m.ended:
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return l, nil
}

// quiet is how long a side hears nothing before it looks after the gateway.
const quiet = 200 * time.Millisecond

func (m *mover) run() {
	var once sync.Once
	for {
		err := m.one()
		if m.side.count > 50 {
			once.Do(func() { close(m.moved) })
		}
		if err != nil {
			m.ended <- err
			return
		}
	}
}

// one moves one DAT; the generator's are not numbered as ours are.
func (m *mover) one() error {
	if err := m.side.step(2000, quiet); !errors.Is(err, errWrong) {
		return err
	}
	m.side.count++
	return nil
}

// learn waits for what the side hears of the restart. A native socket has
// connected again by itself: it is told when it sends something.
func (m *mover) learn() error {
	if err := <-m.ended; !isTimeout(err) {
		return err
	}
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		message := payMessage(0)
		if m.side.gives {
			message = datMessage([]byte("goes on"))
		}
		if err := m.side.send(message); err != nil {
			return err
		}
		in, err := m.side.recv(quiet)
		switch {
		case err == nil && in.Type == zio.EOT:
			return in.over()
		case err != nil && !isTimeout(err):
			return err
		}
	}
	return errors.New("was told nothing")
}
