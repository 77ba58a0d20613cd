package operate_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zioflow/gateway/cli/exit"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// BenchmarkMany is how long the commands take with 10,000 flows that are active:
//
//	go test ./cli/operate -run - -bench Many
func BenchmarkMany(b *testing.B) {
	r := crowded(b)
	for name, arguments := range map[string][]string{
		"flows": {"flows"}, "top's": {"flows", "--sort=rate", "--limit=50"}, "json": {"flows", "--json"},
		"filter": {"flows", "--filter", `attributes.run > 9990 && attributes.stream == "raw"`},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				begin := time.Now()
				if d := r.run(b, arguments...); d.code != exit.Done {
					b.Fatal(d.err)
				}
				b.ReportMetric(time.Since(begin).Seconds(), "s/call")
			}
		})
	}
}

// crowded is a gateway with 10,000 flows that are active.
func crowded(b *testing.B) *rig {
	b.Helper()
	const flows = 10_000
	r := newRig(b)
	var opening errgroup.Group
	opening.SetLimit(64)
	for i := range flows {
		opening.Go(func() error {
			giver, err := r.Give(b.Context(), zioflow.Bot{Credit: 1, Attributes: map[string]any{"builtin": "dump", "run": i, "stream": "raw"}})
			if err == nil {
				b.Cleanup(giver.Abort)
			}
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		b.Fatal(err)
	}
	return r
}

// BenchmarkBeside is how many DATs of 64 KiB a second cross a flow beside 10,000 others while
// somebody looks at all of them as often as top does, in proportion to those while nobody does:
//
//	go test ./cli/operate -run - -bench Beside -benchtime 5x
func BenchmarkBeside(b *testing.B) {
	r := crowded(b)
	giver, err := r.Give(b.Context(), zioflow.Bot{Credit: 20, Attributes: map[string]any{"builtin": "dump"}})
	if err != nil {
		b.Fatal(err)
	}
	defer giver.Abort()
	const window = 5 * time.Second
	dat := zioflow.Dat{Payload: [][]byte{make([]byte, 64<<10)}}
	count := func() (dats float64) {
		for end := time.Now().Add(window); time.Now().Before(end); dats++ {
			if err := giver.Put(b.Context(), dat); err != nil {
				b.Fatal(err)
			}
		}
		return dats
	}
	var alone, watched float64
	for b.Loop() {
		alone += count()
		ctx, cancel := context.WithCancel(b.Context())
		var looking sync.WaitGroup
		looking.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				r.run(b, "flows", "--sort=rate", "--limit=50")
				select {
				case <-ctx.Done():
				case <-time.After(max(time.Second, 9*time.Since(began))):
				}
			}
		})
		watched += count()
		cancel()
		looking.Wait()
	}
	b.ReportMetric(watched/alone, "watched/alone")
}
