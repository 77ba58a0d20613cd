package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zioflow/gateway/broker/zio"
)

// state is where a flow stands.
type state int

const (
	opening state = iota
	moving
	ending
	over
)

// flow is one side of a flow after the other, on one connection. Its loop calls
// receive; the driver's orders come from another goroutine, with another outbox.
type flow struct {
	run   *run
	pair  uint64
	loop  *loop
	place int // among the loop's flows

	mu      sync.Mutex
	conn    *conn // guarded by mu, as all that follows
	stream  stream
	state   state
	going   bool     // data is wanted of a giver
	waiting []uint64 // cids of rounds to come
	round   int
	seqno   uint64
	moved   int   // messages of this round
	held    int64 // credit: a giver's to spend, a taker's to pay
	since   time.Time
	samples []time.Duration
}

// open connects, and opens the flow for the first time; a handler has a cid.
func (f *flow) open(out *outbox, cid uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Linux takes ever longer to find a port once half of them are taken.
	side := byte(4)
	if f.run.spec.Gives {
		side = 3
	}
	var err error
	if f.conn, err = dial(f.run.spec.Address, netip.AddrFrom4([4]byte{127, 0, side, byte(1 + f.pair/1000)})); err != nil {
		return err
	}
	if err := f.loop.watch(f); err != nil {
		return err
	}
	f.waiting = []uint64{cid}
	f.hello(out)
	return out.flush(f.conn)
}

// again takes the cid of a further round.
func (f *flow) again(out *outbox, cid uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, cid)
	if f.state == opening && f.round > 0 {
		f.hello(out)
	}
	return out.flush(f.conn)
}

// start lets a giver give.
func (f *flow) start(out *outbox) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.going = true
	if err := f.give(out); err != nil {
		return err
	}
	return out.flush(f.conn)
}

// receive reads once, into a buffer of the caller's, and sends what that causes.
// It returns whether the flow is over for good.
func (f *flow) receive(in []byte, out *outbox) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := copy(in, f.stream.rest)
	got, err := f.conn.Read(in[n:])
	if errors.Is(err, unix.EAGAIN) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = f.stream.cut(in[:n+got], func(one frame) error { return f.handle(one, out) })
	if err == nil && f.run.spec.Gives {
		err = f.give(out)
	}
	if err == nil {
		err = out.flush(f.conn)
	}
	return f.state == over, err
}

// handle does what a frame asks for.
func (f *flow) handle(got frame, out *outbox) error {
	if got.flags&flagCommand != 0 {
		return f.command(got, out)
	}
	if got.flags&flagMore != 0 {
		return errors.New("a message of several frames came to a CLIENT")
	}
	m, err := parse(got.body, got.size)
	if err != nil {
		return err
	}
	var head zio.Head
	if !m.hello {
		if head, err = zio.Peek(m.label); err != nil {
			return err
		}
	}
	switch {
	case f.state == opening && m.hello != f.run.spec.Gateway && (m.hello || head.Type == zio.BOT):
		f.opened(out)
		return nil
	case f.state == opening || m.hello:
		return fmt.Errorf("answer to BOT is %q", m.label)
	case f.run.spec.Gives:
		return f.giver(m, head, out)
	default:
		return f.taker(m, head, out)
	}
}

// command does what a relay asks for: PING wants its context back.
func (f *flow) command(got frame, out *outbox) error {
	name, body, err := got.command()
	if err != nil || name != "PING" {
		return err
	}
	const ttl = 2
	if len(body) < ttl {
		return fmt.Errorf("PING has a body of %d bytes", len(body))
	}
	out.data = appendCommand(out.data, "PONG", body[ttl:])
	return nil
}

// next counts a message.
func (f *flow) next(now time.Time) zio.Coord {
	f.seqno++
	return stamp(f.pair, f.seqno-1, now)
}

func (f *flow) say(label []byte, out *outbox) { out.label(label, f.next(time.Now())) }

// hello begins a flow, anew if there was one before. A handler does once it has
// a cid.
func (f *flow) hello(out *outbox) {
	s := f.run.spec
	f.state, f.seqno, f.since = opening, 0, time.Now()
	switch {
	case !s.Gateway:
		out.frame(0, binary.LittleEndian.AppendUint64(nil, f.pair))
	case !s.Gives:
		f.say(fmt.Appendf(nil, `{"flow":"BOT","direction":"inject","credit":%d}`, s.Credit), out)
	case len(f.waiting) > 0:
		f.say(fmt.Appendf(nil, `{"flow":"BOT","direction":"extract","credit":%d,"cid":%d}`, s.Credit, f.waiting[0]), out)
		f.waiting = f.waiting[1:]
	}
}

func (f *flow) opened(out *outbox) {
	f.state = moving
	if f.round == 0 {
		f.run.begun()
	}
	if !f.run.spec.Gives && f.run.spec.Count > 0 {
		f.held = f.run.spec.Credit
		f.pay(out)
	}
}

// give sends what there is credit for, and an EOT behind the last message.
func (f *flow) give(out *outbox) error {
	if f.state != moving || !f.going {
		return nil
	}
	for now := time.Now(); f.held > 0 && f.moved < f.run.spec.Count; f.held-- {
		if err := out.dat(f.run.dat, f.next(now), uint64(f.moved), f.conn); err != nil {
			return err
		}
		f.moved++
	}
	if f.moved == f.run.spec.Count {
		f.say(zio.BareLabel(zio.EOT), out)
		f.state = ending
	}
	return nil
}

func (f *flow) giver(m incoming, head zio.Head, out *outbox) error {
	switch {
	case head.Type == zio.EOT && f.state == ending:
		return f.finish(out)
	case head.Type == zio.PAY && head.Credit.Form == zio.Integer:
		f.held += head.Credit.Value
		return nil
	default:
		return fmt.Errorf("giver was sent %q", m.label)
	}
}

func (f *flow) pay(out *outbox) {
	f.say(fmt.Appendf(nil, `{"flow":"PAY","credit":%d}`, f.held), out)
	f.held = 0
	if f.run.spec.Credit == 1 {
		f.since = time.Now()
	}
}

func (f *flow) taker(m incoming, head zio.Head, out *outbox) error {
	s := f.run.spec
	switch head.Type {
	case zio.EOT:
		f.say(zio.BareLabel(zio.EOT), out)
		if s.Count == 0 && f.round > 0 { // the first one has waited for the go
			f.samples = append(f.samples, time.Since(f.since))
		}
		if strings.Contains(string(m.label), `"error"`) {
			return fmt.Errorf("EOT says %q", m.label)
		}
		return f.finish(out)
	case zio.DAT:
	default:
		return fmt.Errorf("taker was sent %q", m.label)
	}
	if s.Credit == 1 && f.moved > 0 {
		f.samples = append(f.samples, time.Since(f.since))
	}
	if m.number != uint64(f.moved) || m.payload != s.Size {
		return fmt.Errorf("message %d of %d bytes came in the place of %d", m.number, m.payload, f.moved)
	}
	f.moved++
	f.held++
	f.run.Tally()
	if 2*f.held >= s.Credit {
		f.pay(out)
	}
	return nil
}

// finish ends a round, and begins the next.
func (f *flow) finish(out *outbox) error {
	if f.moved != f.run.spec.Count {
		return fmt.Errorf("flow ended after %d of %d messages", f.moved, f.run.spec.Count)
	}
	f.moved, f.held = 0, 0
	if f.round++; f.round == f.run.spec.Rounds {
		f.state = over
		return nil
	}
	f.hello(out)
	return nil
}
