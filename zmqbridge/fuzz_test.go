//go:build linux

package zmqbridge

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// fuzzMost is the largest message while fuzzing, in bytes.
const fuzzMost = 100_000

// seen is what becomes of a peer's bytes.
type seen struct {
	taken []*zio.Message // DATs, until the flow ends
	pongs []string
	ended string // why the flow ended, in a word of this file; empty if it goes on
	fault bool   // the connection is closed
	large int    // messages that are too large, at most
	sure  int    // those of them that came while the flow lived: others may be unwanted before
	vague bool   // whether the connection is closed depends on how much was unwanted
}

// reference is a decoder that has all the bytes and no concern for memory. It says
// what ought to become of them.
type reference struct {
	seen
	single   bool
	most     int    // of a message, on the wire
	weight   int    // of a message, as the broker reckons
	overhead uint64 // of a frame's body: CURVE's

	message [][]byte // frames
	size    int      // on the wire
	tooLong bool
	skipped uint64
	before  uint64 // bytes of the message that came before it was too large
}

func (r *reference) run(wire []byte) {
	for len(wire) > 0 {
		h, n, err := zmtp.ParseHeader(wire)
		switch {
		case err != nil:
			r.fault = true
			return
		case n == 0:
			return
		case h.Command:
			if h.Size > maxCommand {
				r.fault = true
				return
			}
		default:
			if r.announce(h, n); r.fault {
				return
			}
		}
		if uint64(len(wire)-n) < h.Size {
			return
		}
		body := wire[n : n+int(h.Size)]
		wire = wire[n+int(h.Size):]
		if h.Command {
			r.command(body)
		} else {
			r.frame(h, n, body)
		}
		if r.fault {
			return
		}
	}
}

// announce sees whether a frame makes its message too large.
func (r *reference) announce(h zmtp.Header, n int) {
	if !r.tooLong && (uint64(r.size)+h.Size+r.overhead > uint64(r.most) || len(r.message) >= maxFrames) {
		r.before = uint64(r.size)
		r.tooLong, r.message, r.size = true, nil, 0
		r.large++
		if r.ended == "" {
			r.sure++
			r.before = 0
		}
		r.stop("too large")
	}
	if r.tooLong {
		r.skipped += uint64(n) + h.Size
		r.fault = r.skipped > uint64(skipFactor*r.most)
		r.vague = r.vague || !r.fault && r.skipped+r.before > uint64(skipFactor*r.most)
	}
}

func (r *reference) frame(h zmtp.Header, n int, body []byte) {
	if r.tooLong {
		if !h.More {
			r.tooLong, r.skipped = false, 0
		}
		return
	}
	r.message = append(r.message, body)
	r.size += n + len(body)
	if h.More {
		return
	}
	frames := r.message
	r.message, r.size = nil, 0
	m := new(zio.Message)
	var err error
	switch {
	case r.single && len(frames) > 1:
		err = errMultipart
	case r.single:
		err = m.Decode(frames[0])
	case len(frames[0]) > 0:
		err = errDelimiter
	default:
		err = m.DecodeParts(frames[1:])
	}
	if err != nil {
		r.stop("malformed")
		return
	}
	r.receive(m)
}

// receive is what the broker does with a giver's message.
func (r *reference) receive(m *zio.Message) {
	head, err := zio.Peek(m.Label)
	switch {
	case len(m.Label) > zio.MaxLabel:
		r.stop("too large")
	case err != nil:
		r.stop("malformed")
	case head.Type != zio.DAT:
		r.stop("not a DAT")
	case m.Weight() > r.weight || m.Parts() > zio.MaxParts:
		r.stop("too large")
	case r.ended == "":
		r.taken = append(r.taken, m)
	}
}

func (r *reference) stop(why string) {
	if r.ended == "" {
		r.ended = why
	}
}

func (r *reference) command(body []byte) {
	name, data, err := zmtp.ParseCommand(body)
	switch {
	case err != nil, name == "ERROR":
		r.fault = true
	case name == "PING":
		_, context, err := zmtp.ParsePing(data)
		if err != nil {
			r.fault = true
			return
		}
		r.pongs = append(r.pongs, string(context))
	}
}

// FuzzReader gives a connection any bytes, in any pieces, and compares what becomes of
// them with what the reference says.
func FuzzReader(f *testing.F) {
	for _, single := range []bool{true, false} {
		for seed := range uint64(4) {
			f.Add(single, seed, plainWire(newTalk(single, seed).speak(30)))
		}
	}
	f.Fuzz(func(t *testing.T, single bool, seed uint64, wire []byte) {
		want := &reference{single: single, most: fuzzMost + headRoom, weight: fuzzMost}
		want.run(wire)
		e := newEnd(t, sortOf(single), fuzzMost, [2]*zmtp.Session{})
		defer e.close()
		compare(t, e, want.seen, feedPieces(t, e, seed, wire))
	})
}

// FuzzConversation has a peer say whatever can be said: messages of all sizes and too
// large ones, parts without end, commands between frames; with and without CURVE, in
// any pieces.
func FuzzConversation(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed&1 == 0, seed&2 == 0, seed, seed)
	}
	f.Fuzz(func(t *testing.T, single, curve bool, words, pieces uint64) {
		said := newTalk(single, words).speak(int(words % 40))
		wire := plainWire(said)
		var sessions [2]*zmtp.Session
		want := &reference{single: single, most: fuzzMost + headRoom, weight: fuzzMost}
		if curve {
			wire, sessions = sealedWire(t, said)
			want.overhead = zmtp.Overhead
		}
		want.run(plainWire(said))
		e := newEnd(t, sortOf(single), fuzzMost, sessions)
		defer e.close()
		err := feedPieces(t, e, pieces, wire)
		if curve {
			compareSealed(t, e, want.seen, err)
			return
		}
		compare(t, e, want.seen, err)
	})
}

func sortOf(single bool) zmtp.SocketType {
	if single {
		return zmtp.Server
	}
	return zmtp.Router
}

// feedPieces feeds the bytes in pieces of any size, but few PINGs at a time: of more
// than the socket takes PONGs for, only the last is answered.
func feedPieces(t *testing.T, e *end, seed uint64, wire []byte) (err error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for len(wire) > 0 && err == nil {
		n := min(len(wire), 1+rng.IntN(1<<rng.IntN(17)))
		for bytes.Count(wire[:n], []byte("PING")) > 50 {
			n /= 2
		}
		err = e.feed(wire[:n])
		wire = wire[n:]
		e.sent()
	}
	return err
}

// compare tells in what a connection differs from what it ought to do.
func compare(t *testing.T, e *end, want seen, err error) {
	if want.vague {
		return
	}
	if (err != nil) != want.fault {
		t.Errorf("the connection ended with %v, want a fault: %t", err, want.fault)
	}
	var fault *protocolFault
	var protocol *zmtp.Error
	if err != nil && !errors.As(err, &fault) && !errors.As(err, &protocol) {
		t.Errorf("the connection ended with %v", err)
	}
	if len(e.taken) != len(want.taken) {
		t.Fatalf("%d messages arrived, want %d", len(e.taken), len(want.taken))
	}
	for i, m := range e.taken {
		if difference := unlike(m, want.taken[i]); difference != "" {
			t.Errorf("message %d: %s", i, difference)
		}
	}
	if !withoutSome(e.pongs, want.pongs) { // of PINGs that come together the last is answered
		t.Errorf("%d PONGs came, want some of %d, the last among them", len(e.pongs), len(want.pongs))
	}
	if n := int(e.conn.site.stats.tooLarge.Load()); n < want.sure || n > want.large {
		t.Errorf("%d messages were too large, want %d to %d", n, want.sure, want.large)
	}
	if (e.eots > 0) != (want.ended != "" && want.ended != "not a DAT") && want.ended != "not a DAT" {
		t.Errorf("the peer was sent %d EOTs, and its flow ended: %q", e.eots, want.ended)
	}
}

// withoutSome tells whether some are all of those, in their order and with the last,
// but for what was left out.
func withoutSome(some, all []string) bool {
	if len(some) == 0 || len(all) == 0 {
		return len(some) == len(all)
	}
	next := 0
	for _, one := range all {
		if next < len(some) && some[next] == one {
			next++
		}
	}
	return next == len(some) && some[next-1] == all[len(all)-1]
}

// compareSealed is compare where a connection may be closed for a message that is too
// large and encrypted: up to there all must be the same.
func compareSealed(t *testing.T, e *end, want seen, err error) {
	var fault *protocolFault
	if errors.As(err, &fault) && fault.cause == causeTooLarge {
		if len(e.taken) > len(want.taken) || len(e.pongs) > len(want.pongs) {
			t.Fatalf("%d messages and %d PONGs came, want no more than %d and %d",
				len(e.taken), len(e.pongs), len(want.taken), len(want.pongs))
		}
		want.taken, want.pongs = want.taken[:len(e.taken)], e.pongs
		want.fault, want.ended = true, "too large"
		want.large = int(e.conn.site.stats.tooLarge.Load())
		want.sure = want.large
	}
	compare(t, e, want, err)
}

// unlike tells in what two messages differ.
func unlike(a, b *zio.Message) string {
	switch {
	case a.Level != b.Level || a.Form != b.Form || a.Coord != b.Coord:
		return "level, form or coord"
	case !bytes.Equal(a.Label, b.Label):
		return fmt.Sprintf("labels %.100q and %.100q", a.Label, b.Label)
	case a.Parts() != b.Parts():
		return fmt.Sprintf("%d and %d parts", a.Parts(), b.Parts())
	}
	for i := range a.Parts() {
		if x, y := a.Part(i).AppendTo(nil), b.Part(i).AppendTo(nil); !bytes.Equal(x, y) {
			return fmt.Sprintf("part %d of %d and %d bytes", i, len(x), len(y))
		}
	}
	return ""
}

// FuzzConvert has a message lie anyhow in memory, and sent on in either form, with and
// without CURVE: what is decoded from that is the message.
func FuzzConvert(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed, []byte{0, 1, 2, 0, 9, 12, 22, byte(seed)})
		f.Add(seed, []byte{})
	}
	f.Fuzz(func(t *testing.T, seed uint64, shape []byte) {
		talk := newTalk(false, seed)
		want := talk.dat()
		want.Payload = nil
		for _, c := range shape[:min(len(shape), 300)] {
			want.Payload = append(want.Payload, talk.bytes(sizes[int(c)%len(sizes)]))
		}
		for _, single := range []bool{true, false} {
			m, slabs := scattered(t, talk, want, single)
			for _, to := range []bool{true, false} {
				convert(t, m, want, to)
				convertSealed(t, m, want, to)
			}
			m.Release()
			for _, s := range slabs {
				if n := s.refs.Load(); n != 0 {
					t.Errorf("a slab is held %d times", n)
				}
			}
		}
	})
}

// scattered is the message as it came in that form, in pieces in slabs of their own.
func scattered(t *testing.T, talk *talk, m *zio.Message, single bool) (*zio.Message, []*slab) {
	k := newTalk(single, 0)
	k.rng = nil // adds no PING
	k.message(m)
	wire, got := plainWire(k.frames), newMessage(single)
	got.frames = len(k.frames)
	var slabs []*slab
	for len(wire) > 0 {
		n := min(len(wire), 1+talk.rng.IntN(1<<(3+talk.rng.IntN(15))))
		s := newSlabFor(n)
		got.add(s, s.data[:copy(s.data, wire[:n])])
		s.release()
		slabs, wire = append(slabs, s), wire[n:]
	}
	opened, err := got.open()
	if err != nil {
		t.Fatal(err)
	}
	if difference := unlike(opened, m); difference != "" {
		t.Fatalf("as it came: %s", difference)
	}
	return opened, slabs
}

func convert(t *testing.T, m, want *zio.Message, to bool) {
	b := new(batch)
	own := b.plain(m, to)
	var wire []byte
	for _, r := range b.runs {
		wire = append(wire, r.b...)
	}
	wantDecoded(t, wire, want, to)
	if own != nil {
		own.release()
	}
}

func convertSealed(t *testing.T, m, want *zio.Message, to bool) {
	ours, theirs := newSessions(t)
	b := new(batch)
	own := b.inner.seal(&b.runList, ours, nil, m, to)
	defer own.release()
	var wire, plain []byte
	for _, r := range b.runs {
		wire = append(wire, r.b...)
	}
	for len(wire) > 0 {
		h, n, err := zmtp.ParseHeader(wire)
		if err != nil {
			t.Fatal(err)
		}
		h, body, err := theirs.OpenInPlace(wire[n : n+int(h.Size)])
		if err != nil {
			t.Fatal(err)
		}
		plain = append(zmtp.AppendHeader(plain, h), body...)
		wire = wire[n+zmtp.Overhead+len(body):]
	}
	wantDecoded(t, plain, want, to)
}

func wantDecoded(t *testing.T, wire []byte, want *zio.Message, single bool) {
	t.Helper()
	r := &reference{single: single, most: 1 << 40, weight: 1 << 40}
	r.run(wire)
	if r.fault || r.ended == "malformed" {
		t.Fatalf("what was sent is no message: %+v", r.seen)
	}
	if len(r.taken) != 1 || len(r.message) > 0 {
		t.Fatalf("%d messages were sent, want 1", len(r.taken))
	}
	if difference := unlike(r.taken[0], want); difference != "" {
		t.Errorf("as it was sent: %s", difference)
	}
}
