// Package bench measures how fast the gateway relays. Giver, gateway and taker
// run in one process; run the benchmarks with
//
//	. scripts/env.sh && go test -bench . ./bench
package bench

import (
	"fmt"
	"testing"
)

// sizes are the payloads of the project's figures.
var sizes = []int{100, 4 << 10, 1 << 20, 4_800_000}

const credit = 100

// BenchmarkNativeToNative relays from one CLIENT to another.
func BenchmarkNativeToNative(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			g := startGateway(b)
			taker := g.nativeTaker(b)
			giver := g.nativeGiver(b, size)
			relay(b, giver, taker, size)
		})
	}
}

// BenchmarkGRPCToGRPC relays from one Open stream to another.
func BenchmarkGRPCToGRPC(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			g := startGateway(b)
			taker := g.grpcTaker(b)
			giver := g.grpcGiver(b, size)
			relay(b, giver, taker, size)
		})
	}
}

// BenchmarkNativeToGRPC relays from a CLIENT to an Open stream.
func BenchmarkNativeToGRPC(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			g := startGateway(b)
			taker := g.grpcTaker(b)
			giver := g.nativeGiver(b, size)
			relay(b, giver, taker, size)
		})
	}
}

// BenchmarkGRPCToNative relays from an Open stream to a CLIENT.
func BenchmarkGRPCToNative(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			g := startGateway(b)
			taker := g.nativeTaker(b)
			giver := g.grpcGiver(b, size)
			relay(b, giver, taker, size)
		})
	}
}

// giver sends n messages as it is paid, taker pays and receives n.
type (
	giver func(n int) error
	taker func(n int) error
)

// relay times b.N messages from the first credit to the last DAT.
func relay(b *testing.B, give giver, take taker, size int) {
	b.SetBytes(int64(size))
	b.ResetTimer()
	failed := make(chan error, 1)
	go func() { failed <- give(b.N) }()
	if err := take(b.N); err != nil {
		b.Fatal(err)
	}
	if err := <-failed; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
