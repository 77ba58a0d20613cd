//go:build soak

package soak

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/zioflow/gateway/internal/native"
)

// exit is a way to go in the middle of a flow.
type exit string

const (
	byKill   exit = "SIGKILL"
	byClose  exit = "close without linger"
	byEOT    exit = "EOT and away"
	byFreeze exit = "SIGSTOP"
)

var exits = []exit{byKill, byClose, byEOT, byFreeze}

// The heartbeats with which a gateway under test notices a frozen peer.
const (
	heartbeat        = 300 * time.Millisecond
	heartbeatTimeout = 900 * time.Millisecond
)

// What a gateway under test has for gRPC: by default it is more patient.
const (
	keepalive        = 20 * time.Second
	keepaliveTimeout = 10 * time.Second
)

// leaving is one trial: a child that goes, and its partner here.
type leaving struct {
	exit        exit
	via         transport // the child's
	partner     transport
	childGives  bool
	childClient bool
}

func (l leaving) String() string {
	return fmt.Sprintf("%s of %s via %s, gives %t, partner via %s", l.exit,
		map[bool]string{true: "client", false: "handler"}[l.childClient], l.via, l.childGives, l.partner)
}

// limit is how long the partner may wait for its EOT.
func (l leaving) limit() time.Duration {
	switch {
	case l.exit != byFreeze:
		return time.Second
	case l.via == viaGRPC:
		return keepalive + keepaliveTimeout + time.Second
	default:
		return heartbeat + heartbeatTimeout + time.Second
	}
}

func TestLeavingClient(t *testing.T)  { testLeaving(t, true) }
func TestLeavingHandler(t *testing.T) { testLeaving(t, false) }

// testLeaving has children go in the middle of a flow, in every way, as client
// or as handler: their partners are told in time, and the next flow works.
func testLeaving(t *testing.T, childClient bool) {
	g := startGateway(t, "--heartbeat="+heartbeat.String(), "--heartbeat-timeout="+heartbeatTimeout.String(),
		"--stall-timeout="+heartbeatTimeout.String(), // one that was sent data may be busy with it for so long
		"--keepalive="+keepalive.String(), "--keepalive-timeout="+keepaliveTimeout.String())
	d := openDesk(t, g)
	told := map[exit]*sample{}
	for _, e := range exits {
		told[e] = new(sample)
	}
	var (
		frozen, fresh sample
		why           tally
	)
	freezes := make(chan error)
	slow := 0
	for i := range scaled(200, 24) {
		l := leaving{
			exit: exits[i%4], childGives: i/4%2 == 0, via: transports[i/8%3], partner: transports[(i/8+i/24)%3],
			childClient: childClient,
		}
		if l.exit == byFreeze && l.via == viaGRPC { // takes half a minute: meanwhile
			slow++
			go func() { freezes <- l.try(d, &frozen, &why) }()
			continue
		}
		if err := l.try(d, told[l.exit], &why); err != nil {
			t.Errorf("trial %d, %v: %v", i, l, err)
		}
		took, err := freshFlow(g, l.via)
		if err != nil {
			t.Errorf("trial %d, %v: a fresh flow: %v", i, l, err)
		}
		fresh.add(took)
	}
	for range slow {
		if err := <-freezes; err != nil {
			t.Errorf("frozen via gRPC: %v", err)
		}
	}
	for _, e := range exits {
		report(t, "partner's EOT ≤ "+leaving{exit: e}.limit().String(), "%s: %v", e, told[e])
	}
	report(t, "by keepalive", "SIGSTOP via gRPC: %v", &frozen)
	report(t, "fresh flow works at once", "%v", &fresh)
	report(t, "peer_gone, or the EOT relayed", "%v", &why)
	if fresh.max() > time.Second {
		t.Errorf("a fresh flow took %v", fresh.max())
	}
}

// try runs the trial and notes how long the partner waited for its EOT, and what
// that says.
func (l leaving) try(d *desk, told *sample, why *tally) error {
	p, err := dial(l.partner, d.gateway.addresses[l.partner])
	if err != nil {
		return err
	}
	defer p.close()
	s := &side{peer: p, gives: !l.childGives}
	c, err := l.begin(d, s)
	if c != nil {
		defer c.end()
	}
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.untilEnd(1000, patience+l.limit()) }()
	if err := <-c.moving; err != nil {
		return fmt.Errorf("child: %w", err)
	}
	began := time.Now()
	if err := l.goAway(c); err != nil {
		return err
	}
	err = <-ended
	told.add(time.Since(began))
	why.add(reasonOf(err))
	var end *native.EndError
	switch {
	case !errors.As(err, &end) && (!errors.Is(err, io.EOF) || l.exit != byEOT):
		return fmt.Errorf("partner's flow ended with %w", err)
	case time.Since(began) > l.limit():
		return fmt.Errorf("partner was told %w, after %v", err, time.Since(began))
	}
	return nil
}

// begin starts the child and opens the flow between it and s.
func (l leaving) begin(d *desk, s *side) (c *child, err error) {
	var offer <-chan uint64
	s.pair, offer = d.expect()
	spec := childSpec{Via: l.via, Address: d.gateway.addresses[l.via], Gives: l.childGives, Pair: s.pair, Size: 1000}
	if l.childClient {
		if c, err = startChild(spec); err != nil {
			return c, err
		}
		cid, err := await(offer)
		if err != nil {
			return c, err
		}
		return c, s.begin(childCredit, cid, "")
	}
	if err := s.bot(childCredit, 0, pairAttribute(s.pair)); err != nil {
		return nil, err
	}
	if spec.CID, err = await(offer); err != nil {
		return nil, err
	}
	if c, err = startChild(spec); err != nil {
		return c, err
	}
	return c, s.settle(patience)
}

func (l leaving) goAway(c *child) error {
	switch l.exit {
	case byKill:
		return c.command.Process.Kill()
	case byFreeze:
		return c.command.Process.Signal(syscall.SIGSTOP)
	case byEOT:
		return c.order(goLeave)
	default:
		return c.order(goClose)
	}
}

// freshFlow takes a few messages from the gateway's own generator.
func freshFlow(g *gateway, via transport) (time.Duration, error) {
	const count = 3
	began := time.Now()
	p, err := dial(via, g.addresses[via])
	if err != nil {
		return 0, err
	}
	defer p.close()
	s := &side{peer: p}
	if err := s.begin(2, 0, fmt.Sprintf(`,"count":%d`, count)); err != nil {
		return 0, err
	}
	for n := 0; ; n++ {
		if s.held > 0 {
			if err := s.send(payMessage(s.held)); err != nil {
				return 0, err
			}
			s.held = 0
		}
		m, err := s.recv(patience)
		switch {
		case err != nil:
			return 0, fmt.Errorf("after %d messages: %w", n, err)
		case m.end.Reason != "" || (m.Payload == nil) != (n == count):
			return 0, fmt.Errorf("after %d messages came %s", n, m.Label)
		case n == count:
			return time.Since(began), s.send(eotMessage())
		}
		s.held++
	}
}
