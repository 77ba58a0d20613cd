package zmqbridge_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// toEnd reads messages until the connection ends, and returns how it does.
func (p *raw) toEnd() (last []*zio.Message, end error) {
	for {
		m, err := p.receiveWithin(patient)
		if err != nil {
			return last, err
		}
		last = append(last, m)
	}
}

// What a peer is told last is not taken back by a reset, though there are bytes of its
// own that nobody wants.
func TestLastWords(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		for range 5 {
			taker, giver := g.dial(kind), g.dial(kind)
			g.opens(taker, giver, 5)
			giver.write(append(announced(giver, 1<<62), make([]byte, 500_000)...))
			taker.want(zio.EOT, `"error":"message_too_large"`)
			if last, err := giver.toEnd(); !ends(last, "message_too_large") || !errors.Is(err, io.EOF) {
				t.Errorf("%d messages came, and then %v", len(last), err)
			}
			_ = giver.Close()
		}
	})
}

// Nor is it for a peer that is not let in.
func TestLastWordsToAStranger(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(*setup) {})
	for range 5 {
		conn, err := connect(g.address(zmtp.Dealer), "")
		if err != nil {
			t.Fatal(err)
		}
		p := &raw{t: t, Conn: conn, kind: zmtp.Dealer}
		p.write(append(append(greeting("NULL"), ready("READY", "PUB")...), make([]byte, 20_000)...))
		if err := p.SetReadDeadline(time.Now().Add(patient)); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(p); err != nil || len(b) <= 64 {
			t.Errorf("%d bytes came, and then %v", len(b), err)
		}
		_ = conn.Close()
	}
}

// Whoever goes on sending is left after a while, with its bytes unread.
func TestLastWordsAreBounded(t *testing.T) {
	t.Parallel()
	for name, stranger := range map[string]bool{"stranger": true, "peer": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, func(s *setup) { s.MaxMessage = little })
			var conn net.Conn
			most := uint64(64<<10 + 8<<10)
			if stranger {
				var err error
				if conn, err = connect(g.address(zmtp.Dealer), ""); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Write(append(greeting("NULL"), ready("READY", "PUB")...)); err != nil {
					t.Fatal(err)
				}
			} else {
				p := g.dial(zmtp.Dealer)
				p.write(announced(p, 1<<62))
				conn, most = p, 4<<20+256<<10
			}
			defer func() { _ = conn.Close() }()
			b := make([]byte, 64<<10)
			began := time.Now()
			for {
				if _, err := conn.Write(b); err != nil {
					break
				}
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it could send for %v, want a second", took)
			}
			until(t, "it is forgotten", func() bool {
				s := g.stats(zmtp.Dealer)
				return s.Connections == 0 && s.Handshaking == 0
			})
			if n := g.stats(zmtp.Dealer).BytesIn; n > most {
				t.Errorf("%d bytes were read, want at most %d", n, most)
			}
		})
	}
}
