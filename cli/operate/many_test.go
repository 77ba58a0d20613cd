package operate_test

import (
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
