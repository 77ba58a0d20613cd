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

// BenchmarkRelay relays in every pairing of a CLIENT and an Open stream.
func BenchmarkRelay(b *testing.B) {
	for _, pair := range []struct {
		name  string
		giver func(*gateway, *testing.B, int) giver
		taker func(*gateway, *testing.B) taker
	}{
		{"native-native", (*gateway).nativeGiver, (*gateway).nativeTaker},
		{"gRPC-gRPC", (*gateway).grpcGiver, (*gateway).grpcTaker},
		{"native-gRPC", (*gateway).nativeGiver, (*gateway).grpcTaker},
		{"gRPC-native", (*gateway).grpcGiver, (*gateway).nativeTaker},
	} {
		for _, size := range sizes {
			b.Run(fmt.Sprintf("%s/%d", pair.name, size), func(b *testing.B) {
				g := startGateway(b)
				relay(b, pair.giver(g, b, size), pair.taker(g, b), size)
			})
		}
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
