package zmtp

import (
	"fmt"
	"golang.org/x/crypto/nacl/secretbox"
	"syscall"
	"testing"
)

func cpu() int64 {
	var r syscall.Rusage
	syscall.Getrusage(1, &r)
	return r.Utime.Nano() + r.Stime.Nano()
}
func BenchmarkSession(b *testing.B) {
	for _, size := range []int{100, 4096, 65536, 1 << 20, 5 << 20} {
		body := make([]byte, size)
		key := new([32]byte)
		b.Run(fmt.Sprint("Seal/", size), func(b *testing.B) {
			s := newSession(key, "a", 1, "a", 1)
			var dst []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			t := cpu()
			for b.Loop() {
				dst = s.Seal(dst[:0], Header{}, body)
			}
			b.ReportMetric(float64(size)*float64(b.N)*1e3/float64(cpu()-t), "cpuMB/s")
		})
		b.Run(fmt.Sprint("Open/", size), func(b *testing.B) {
			s := newSession(key, "a", 1, "a", 1)
			f := s.Seal(nil, Header{}, body)
			_, n, _ := ParseHeader(f)
			var dst []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			t := cpu()
			for b.Loop() {
				s.open.last = 0
				_, p, err := s.Open(dst[:0], f[n:])
				if err != nil {
					b.Fatal(err)
				}
				dst = p
			}
			b.ReportMetric(float64(size)*float64(b.N)*1e3/float64(cpu()-t), "cpuMB/s")
		})
		b.Run(fmt.Sprint("nacl/", size), func(b *testing.B) {
			var dst []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			t := cpu()
			nonce := new([24]byte)
			for b.Loop() {
				dst = secretbox.Seal(dst[:0], body, nonce, key)
			}
			b.ReportMetric(float64(size)*float64(b.N)*1e3/float64(cpu()-t), "cpuMB/s")
		})
	}
}
