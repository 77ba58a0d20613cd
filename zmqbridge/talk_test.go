//go:build linux

package zmqbridge

import (
	"bytes"
	"crypto/ecdh"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// frame is a frame that a peer sends.
type frame struct {
	zmtp.Header
	body []byte
}

// talk makes up what a peer may say.
type talk struct {
	single bool
	rng    *rand.Rand
	frames []frame
}

func newTalk(single bool, seed uint64) *talk {
	return &talk{single: single, rng: rand.New(rand.NewPCG(seed, 0))}
}

// speak says so many things.
func (k *talk) speak(things int) []frame {
	for range things {
		switch k.rng.IntN(40) {
		case 0:
			k.add(zmtp.Header{More: true}, k.bytes(k.rng.IntN(300)))
		case 1:
			k.add(zmtp.Header{}, k.bytes(k.rng.IntN(300)))
		case 2:
			k.large()
		case 3:
			if k.rng.IntN(4) == 0 {
				k.many()
			}
		case 4:
			k.add(zmtp.Header{Command: true}, []byte("\x04PONG"))
		default:
			k.message(k.dat())
		}
	}
	return k.frames
}

// add adds a frame, with a PING in front at times.
func (k *talk) add(h zmtp.Header, body []byte) {
	for k.rng != nil && k.rng.IntN(4) == 0 {
		k.frames = append(k.frames, frame{
			Header: zmtp.Header{Command: true},
			body:   fmt.Appendf([]byte("\x04PING\x00\x00"), "%d", k.rng.IntN(1000)),
		})
	}
	k.frames = append(k.frames, frame{Header: h, body: body})
}

func (k *talk) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(k.rng.Uint32())
	}
	return b
}

// sizes are those of parts, near to where something changes.
var sizes = []int{
	0, 1, 3, 100, 254, 255, 256, 4095, 4096, 4097, 8000, 8192, 8193, 16_384, 20_000,
	32_767, 32_768, 32_769, 40_000, 65_535, 65_536, 65_537, 90_000,
}

func (k *talk) dat() *zio.Message {
	m := &zio.Message{
		Level: byte(k.rng.IntN(9)), Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`),
		Coord: zio.Coord{Origin: k.rng.Uint64(), Granule: k.rng.Uint64(), Seqno: k.rng.Uint64()},
	}
	if k.rng.IntN(8) == 0 {
		m.Label = fmt.Appendf(nil, `{"flow":"DAT","pad":"%s"}`, bytes.Repeat([]byte("x"), sizes[k.rng.IntN(len(sizes))]))
	}
	for range k.rng.IntN(4) {
		m.Payload = append(m.Payload, k.bytes(sizes[k.rng.IntN(len(sizes))]))
	}
	return m
}

// message adds the frames of a message.
func (k *talk) message(m *zio.Message) {
	if k.single {
		k.add(zmtp.Header{}, m.AppendEncoded(nil))
		return
	}
	parts := append([][]byte{nil, m.AppendPrefix(nil), m.AppendCoord(nil)}, m.Payload...)
	for i, part := range parts {
		k.add(zmtp.Header{More: i < len(parts)-1}, part)
	}
}

// large adds a message that is too large.
func (k *talk) large() {
	m := k.dat()
	for range 1 + k.rng.IntN(2) {
		m.Payload = append(m.Payload, make([]byte, fuzzMost+headRoom+k.rng.IntN(10)))
	}
	k.message(m)
}

// many adds a message of very many parts.
func (k *talk) many() {
	m := k.dat()
	m.Payload = make([][]byte, zio.MaxParts-2+k.rng.IntN(6))
	k.message(m)
}

// plainWire is the frames as they are sent without CURVE.
func plainWire(frames []frame) (wire []byte) {
	for _, f := range frames {
		f.Size = uint64(len(f.body))
		wire = append(zmtp.AppendHeader(wire, f.Header), f.body...)
	}
	return wire
}

// sealedWire is the frames under CURVE, and the sessions of who reads them: the
// gateway's and, for what it sends, the peer's.
func sealedWire(t testing.TB, frames []frame) (wire []byte, sessions [2]*zmtp.Session) {
	ours, theirs := newSessions(t)
	for _, f := range frames {
		wire = theirs.Seal(wire, f.Header, f.body)
	}
	return wire, [2]*zmtp.Session{ours, theirs}
}

// curveConfigs are both ends' of CURVE connections.
var curveConfigs = sync.OnceValues(func() (server, client *zmtp.Config) {
	pair := func() *zmtp.CurveKeys {
		key, err := ecdh.X25519().GenerateKey(crand.Reader)
		if err != nil {
			panic(err)
		}
		return &zmtp.CurveKeys{Public: [32]byte(key.PublicKey().Bytes()), Secret: [32]byte(key.Bytes())}
	}
	server = &zmtp.Config{Type: zmtp.Router, AsServer: true, Curve: pair()}
	client = &zmtp.Config{Type: zmtp.Dealer, Curve: pair()}
	client.Curve.Server = server.Curve.Public
	return server, client
})

// newSessions are both ends' of a CURVE connection.
func newSessions(t testing.TB) (ours, theirs *zmtp.Session) {
	ends, others := curveConfigs()
	server, client := zmtp.NewHandshake(ends), zmtp.NewHandshake(others)
	toServer, toClient := client.Start(), server.Start()
	for !server.Done() || !client.Done() {
		_, out, err := server.Receive(toServer)
		if err != nil {
			t.Fatal(err)
		}
		if _, toServer, err = client.Receive(append(toClient, out...)); err != nil {
			t.Fatal(err)
		}
		toClient = nil
	}
	return server.Session(), client.Session()
}
