//go:build unix

package operate_test

import (
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/top"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// BenchmarkMany is how long the commands take with 10,000 flows that are active, and how much
// processor time, the gateway's and their own:
//
//	go test ./cli/operate -run - -bench Many
func BenchmarkMany(b *testing.B) {
	r := crowded(b)
	for name, arguments := range map[string][]string{
		"flows": {"flows"}, "top's": {"flows", "--sort=rate", "--limit=50"}, "json": {"flows", "--json"}, "status": {"status"},
		"filter": {"flows", "--filter", `attributes.run > 9990 && attributes.stream == "raw"`},
	} {
		b.Run(name, func(b *testing.B) {
			calls, before := 0.0, processorTime(b)
			for b.Loop() {
				calls++
				begin := time.Now()
				if d := r.run(b, arguments...); d.code != exit.Done {
					b.Fatal(d.err)
				}
				b.ReportMetric(time.Since(begin).Seconds(), "s/call")
			}
			b.ReportMetric((processorTime(b)-before).Seconds()/calls, "processor-s/call")
		})
	}
}

// BenchmarkLook is the processor time that a look of top takes with 10,000 flows, the gateway's
// and its own:
//
//	go test ./cli/operate -run - -bench Look
func BenchmarkLook(b *testing.B) {
	source, looks := topOf(b, crowded(b)), 0.0
	before := processorTime(b)
	for b.Loop() {
		looks++
		if seen, err := source.Look(b.Context(), top.Query{Sort: "rate", Rows: 50}); err != nil || len(seen.Flows) != 50 {
			b.Fatalf("%d flows, %v", len(seen.Flows), err)
		}
	}
	b.ReportMetric((processorTime(b)-before).Seconds()/looks, "processor-s/look")
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
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
// somebody looks at all of them as often as top does, in proportion to those while nobody does;
// and the same for each second of processor time that all of it takes. They are medians, of seconds
// with a look and without one in turn, as others may use the machine as well:
//
//	go test ./cli/operate -run - -bench Beside -benchtime 60x
func BenchmarkBeside(b *testing.B) {
	r := crowded(b)
	giver, err := r.Give(b.Context(), zioflow.Bot{Credit: 20, Attributes: map[string]any{"builtin": "dump"}})
	if err != nil {
		b.Fatal(err)
	}
	defer giver.Abort()
	const window = time.Second
	dat := zioflow.Dat{Payload: [][]byte{make([]byte, 64<<10)}}
	count := func() (dats, perProcessor float64) {
		before := processorTime(b)
		for end := time.Now().Add(window); time.Now().Before(end); dats++ {
			if err := giver.Put(b.Context(), dat); err != nil {
				b.Fatal(err)
			}
		}
		return dats, dats / (processorTime(b) - before).Seconds()
	}
	source := topOf(b, r)
	var ratios, perProcessor []float64
	for b.Loop() {
		alone, aloneUsed := count()
		var looking sync.WaitGroup
		looking.Go(func() {
			if _, err := source.Look(b.Context(), top.Query{Sort: "rate", Rows: 50}); err != nil {
				b.Error(err)
			}
		})
		watched, watchedUsed := count()
		looking.Wait()
		ratios, perProcessor = append(ratios, watched/alone), append(perProcessor, watchedUsed/aloneUsed)
	}
	median := func(of []float64) float64 { slices.Sort(of); return of[len(of)/2] }
	b.ReportMetric(median(ratios), "watched/alone")
	b.ReportMetric(median(perProcessor), "watched/alone/processor-s")
}
