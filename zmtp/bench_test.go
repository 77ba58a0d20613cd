package zmtp

import (
	"fmt"
	"testing"

	"golang.org/x/crypto/nacl/secretbox"
)

// BenchmarkSession has nacl/secretbox beside it, with a plaintext that is in
// one piece already.
func BenchmarkSession(b *testing.B) {
	for _, size := range []int{100, 4 << 10, 1 << 20} {
		body := make([]byte, size)
		client, server := sessions(&[32]byte{1})
		frame := client.Seal(nil, Header{}, body)
		_, n, err := ParseHeader(frame)
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]byte, 0, len(frame)+MaxHeader)
		run := func(name string, f func()) {
			b.Run(fmt.Sprint(name, "/", size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					f()
				}
			})
		}
		run("Seal", func() { client.Seal(dst, Header{}, body) })
		run("Open", func() {
			server.open.last = 2
			if _, _, err := server.Open(dst, frame[n:]); err != nil {
				b.Fatal(err)
			}
		})
		run("secretbox", func() { secretbox.Seal(dst, body, new([24]byte), &client.seal.key) })
	}
}

// BenchmarkHandshake is both ends' work together.
func BenchmarkHandshake(b *testing.B) {
	for _, mechanism := range []Mechanism{Null, Curve} {
		b.Run(string(mechanism), func(b *testing.B) {
			cc, sc := ends(b, mechanism, Dealer, Router)
			b.ReportAllocs()
			for b.Loop() {
				p := newPair(cc, sc)
				if p.run(b, 1<<20); !p.server.Done() || !p.client.Done() {
					b.Fatal(p.clientErr, p.serverErr)
				}
			}
		})
	}
}
