package zmqbridge_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// datLabel is a DAT's label of that many bytes.
func datLabel(n int) []byte {
	const head, tail = `{"flow":"DAT","pad":"`, `"}`
	return append(append([]byte(head), bytes.Repeat([]byte("x"), n-len(head)-len(tail))...), tail...)
}

// odd are messages whose form is hard to change.
func odd(rng *rand.Rand) map[string]*zio.Message {
	many := func(n, size int) [][]byte {
		parts := make([][]byte, n)
		for i := range parts {
			parts[i] = pattern(rng, size)
		}
		return parts
	}
	dat := func(label []byte, payload ...[]byte) *zio.Message {
		return &zio.Message{
			Level: 8, Form: [4]byte{'T', 'E', 'N', 'S'}, Label: label, Payload: payload,
			Coord: zio.Coord{Origin: 1 << 63, Granule: 3, Seqno: 1},
		}
	}
	short := datLabel(30)
	return map[string]*zio.Message{
		"no part":                     dat(short),
		"one empty part":              dat(short, nil),
		"empty parts":                 dat(short, nil, nil, []byte("x"), nil, nil),
		"parts of 254 to 256 bytes":   dat(short, pattern(rng, 254), pattern(rng, 255), pattern(rng, 256)),
		"many parts":                  dat(short, many(5000, 3)...),
		"many empty parts":            dat(short, many(5000, 0)...),
		"many parts of 300 bytes":     dat(short, many(3000, 300)...),
		"a label of 255 bytes":        dat(datLabel(255-8), []byte("x")),
		"the longest label":           dat(datLabel(zio.MaxLabel), []byte("x")),
		"the longest, and much":       dat(datLabel(zio.MaxLabel), many(20, 100_000)...),
		"a label of 64 KiB, no part":  dat(datLabel(64 << 10)),
		"parts on each side of 4 KiB": dat(short, pattern(rng, 4095), pattern(rng, 4096), nil, pattern(rng, 4097), pattern(rng, 1)),
	}
}

// What a message is made of survives the change from one part to many and back,
// whatever its parts and wherever in memory they lie (MSG-11).
func TestForms_MSG_11(t *testing.T) {
	t.Parallel()
	kinds := []zmtp.SocketType{zmtp.Client, zmtp.Dealer}
	for _, curve := range []bool{false, true} {
		for _, from := range kinds {
			for _, to := range kinds {
				t.Run(fmt.Sprintf("%s to %s curve %t", from, to, curve), func(t *testing.T) {
					t.Parallel()
					g := newRig(t, func(s *setup) { s.curve = curve })
					taker, giver := g.dial(to), g.dial(from)
					messages := odd(rand.New(rand.NewPCG(2, 2)))
					g.opens(taker, giver, 2*int64(len(messages))+1)
					for name, m := range messages {
						testForm(t, giver, taker, name, m)
						// Behind another message it lies elsewhere in memory.
						testForm(t, giver, taker, name+", once more", m)
					}
					testForm(t, giver, taker, "all the parts there may be", &zio.Message{
						Form: zio.FormFlow, Label: datLabel(30), Payload: make([][]byte, zio.MaxParts),
					})
					g.closes(taker, giver)
				})
			}
		}
	}
}

func testForm(t *testing.T, giver, taker *raw, name string, m *zio.Message) {
	t.Helper()
	sent := make(chan error, 1)
	wire := giver.wire(nil, m)
	go func() {
		_, err := giver.Write(wire)
		sent <- err
	}()
	if difference := same(taker.receive(), m); difference != "" {
		t.Errorf("%s: %s", name, difference)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// One part more than may be ends the flow, as a label that is too long does; the
// connection lives.
func TestBeyondTheForms_MSG_13(t *testing.T) {
	t.Parallel()
	beyond := map[string]*zio.Message{
		"parts": {Form: zio.FormFlow, Label: datLabel(30), Payload: make([][]byte, zio.MaxParts+1)},
		"label": {Form: zio.FormFlow, Label: datLabel(zio.MaxLabel + 1)},
	}
	for _, kind := range []zmtp.SocketType{zmtp.Client, zmtp.Dealer} {
		for what, m := range beyond {
			t.Run(string(kind)+" "+what, func(t *testing.T) {
				t.Parallel()
				g := newRig(t, func(*setup) {})
				taker, giver := g.dial(kind), g.dial(kind)
				g.opens(taker, giver, 3)
				giver.send(m)
				taker.want(zio.EOT, `"error":"message_too_large"`, what)
				giver.want(zio.EOT, `"error":"message_too_large"`, what)
				g.opens(taker, giver, 3)
				g.closes(taker, giver)
			})
		}
	}
}
