package zmqbridge_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// little is the largest message of these tests, in bytes: what is too much soon is.
const little = 1 << 20

// announced is the beginning of a message of that many bytes, as far as its size. What
// follows under CURVE need not be sealed: it is not looked at.
func announced(p *raw, size uint64) []byte {
	var b []byte
	if !p.single() {
		m := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`)}
		for _, part := range p.frames(m) {
			b = p.frame(b, zmtp.Header{More: true}, part)
		}
	}
	return zmtp.AppendHeader(b, zmtp.Header{Size: size})
}

// held is the most that the broker holds while f runs.
func held(b *broker.Broker, f func()) (most int64) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	for {
		select {
		case <-done:
			return most
		default:
			most = max(most, b.Held())
		}
	}
}

// secured are the ways to connect: each kind of peer, with and without CURVE.
var secured = []struct {
	kind  zmtp.SocketType
	curve bool
}{{zmtp.Client, false}, {zmtp.Client, true}, {zmtp.Dealer, false}, {zmtp.Dealer, true}}

func eachWay(t *testing.T, limits func(*setup), test func(*testing.T, *rig, zmtp.SocketType)) {
	t.Helper()
	for _, way := range secured {
		t.Run(fmt.Sprintf("%s curve %t", way.kind, way.curve), func(t *testing.T) {
			t.Parallel()
			test(t, newRig(t, func(s *setup) {
				s.curve, s.MaxMessage = way.curve, little
				if limits != nil {
					limits(s)
				}
			}), way.kind)
		})
	}
}

// A message that announces too much ends its flow on both sides before any of it has
// come. What comes of it is not kept, and the connection carries another flow.
func TestAnnouncedTooLarge_MSG_13(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		taker, giver := g.dial(kind), g.dial(kind)
		g.opens(taker, giver, 5)
		const size = 4 << 20
		giver.write(announced(giver, size))
		taker.want(zio.EOT, `"error":"message_too_large"`, "the message has")
		giver.want(zio.EOT, `"error":"message_too_large"`, fmt.Sprint(little, " are allowed"))
		if n := g.stats(kind).TooLarge; n != 1 {
			t.Errorf("%d messages were counted as too large, want 1", n)
		}
		if kind == zmtp.Dealer && giver.session != nil {
			giver.wantClosed() // whether more frames follow, only the sealed one says
			return
		}
		if most := held(g.broker, func() { giver.write(make([]byte, size)) }); most > 256<<10 {
			t.Errorf("%d bytes were held of a message that is not kept", most)
		}
		g.opens(taker, giver, 5)
		giver.say(`{"flow":"DAT"}`, []byte("after it"))
		if m := taker.want(zio.DAT); string(m.Payload[0]) != "after it" {
			t.Errorf("%q came", m.Payload)
		}
		g.closes(taker, giver)
	})
}

// So does one that becomes too large by its parts.
func TestTooLargeByParts_MSG_13(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		if kind == zmtp.Client {
			t.Skip("its messages have one part")
		}
		taker, giver := g.dial(kind), g.dial(kind)
		g.opens(taker, giver, 5)
		m := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`)}
		for range 5 {
			m.Payload = append(m.Payload, make([]byte, little/2))
		}
		wire := giver.wire(nil, m)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = giver.Write(wire) // fails where the connection is closed
		}()
		taker.want(zio.EOT, `"error":"message_too_large"`)
		giver.want(zio.EOT, `"error":"message_too_large"`)
		<-sent
		if giver.session != nil {
			giver.wantClosed()
			return
		}
		g.opens(taker, giver, 5)
		g.closes(taker, giver)
	})
}

// Of a message that announces more than can be passed over the connection is closed,
// after the peer was told.
func TestEndlessMessage(t *testing.T) {
	t.Parallel()
	for name, behind := range map[string]int{"nothing behind": 0, "much behind": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
				taker, giver := g.dial(kind), g.dial(kind)
				g.opens(taker, giver, 5)
				wire := append(announced(giver, 1<<62), make([]byte, behind)...)
				go func() { _, _ = giver.Write(wire) }()
				taker.want(zio.EOT, `"error":"message_too_large"`)
				if last := giver.wantClosed(); len(last) != 1 || !ends(last, "message_too_large") {
					t.Errorf("the giver was sent %d messages before its connection was closed, want the EOT", len(last))
				}
				until(t, "ended as too large", func() bool { return g.stats(kind).Ended["too_large"] == 1 })
				until(t, "it is logged", func() bool { return len(g.logged("connection ended")) > 0 })
				if n := len(g.logged("connection ended", "cause=too_large")); n != 1 {
					t.Errorf("%d lines tell of it, want 1", n)
				}
				giver = g.dial(kind)
				g.opens(taker, giver, 5)
				g.closes(taker, giver)
			})
		})
	}
}

// A message of parts without end is not kept, and its connection is closed in time.
func TestEndlessParts(t *testing.T) {
	t.Parallel()
	for name, part := range map[string][]byte{"empty": nil, "large": make([]byte, 40_000)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
				taker, giver := g.dial(kind), g.dial(kind)
				g.opens(taker, giver, 5)
				most := held(g.broker, func() {
					for {
						var b []byte
						for len(b) < 64<<10 {
							b = giver.frame(b, zmtp.Header{More: true}, part)
						}
						if _, err := giver.Write(b); err != nil {
							return
						}
					}
				})
				// The unfinished message, in slabs; under CURVE small frames lie among
				// what sealed them.
				if most > 8<<20 {
					t.Errorf("%d bytes were held", most)
				}
				taker.want(zio.EOT, `"error":"message_too_large"`)
				until(t, "ended as too large", func() bool { return g.stats(kind).Ended["too_large"] == 1 })
				until(t, "nothing is held", func() bool { return g.broker.Held() == 0 })
			})
		})
	}
}

// What is unfinished when its connection ends is given back.
func TestUnfinishedIsGivenBack(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		for _, size := range []int{1, 100, 31_000, 40_000, 700_000} {
			p := g.dial(kind)
			m := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"BOT","direction":"extract","credit":1}`), Payload: [][]byte{make([]byte, size)}}
			if !p.single() {
				m.Payload = append(m.Payload, make([]byte, size))
			}
			wire := p.wire(nil, m)
			p.write(wire[:len(wire)-1])
			until(t, "all was read", func() bool { return g.stats(kind).BytesIn >= uint64(len(wire)-1) && g.broker.Held() > 0 })
			reset(p)
			until(t, "nothing is held", func() bool { return g.broker.Held() == 0 })
		}
	})
}

// What is skipped may be of any size, and end anywhere in what is read.
func TestSkipped(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		p := g.dial(kind)
		if kind == zmtp.Dealer && p.session != nil {
			t.Skip("its connection is closed")
		}
		for i, size := range []uint64{3 << 20, 3<<20 + 1, 4<<20 - 1, 5_000_011} {
			b := announced(p, size)
			b = append(b, bytes.Repeat([]byte{0xff}, int(size))...)
			p.write(p.ping(b, 0, fmt.Sprint("after ", i)))
			p.want(zio.EOT, `"error":"message_too_large"`)
			for len(p.pongs) == 0 {
				if h, body, err := p.next(); err != nil || !h.Command || p.command(body) != nil {
					t.Fatalf("%v came, %v, want a PONG", h, err)
				}
			}
			if got := string(p.pongs[0]); got != fmt.Sprint("after ", i) {
				t.Errorf("PONG %q came", got)
			}
			p.pongs = nil
		}
	})
}
