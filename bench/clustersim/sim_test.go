package clustersim_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/bench/clustersim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSimulation: a cluster of some size, in which a hundredth of what is published is lost,
// does what docs/cluster.md promises, and a node hears no more than in proportion to how
// many there are.
func TestSimulation(t *testing.T) {
	t.Parallel()
	run := func(nodes int) clustersim.Figures {
		f, err := clustersim.Run(clustersim.Options{Nodes: nodes, Listeners: 20 * nodes, Holders: 5, Churn: nodes, Loss: 0.01, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if f.Start > 3*time.Second || f.Death > 3500*time.Millisecond || f.Heal > 3*time.Second || f.False != 0 {
			t.Errorf("%d nodes: %+v", nodes, f)
		}
		return f
	}
	few, many := run(10), run(50)
	if load := many.Busy - many.Idle; load > 49*20*2*170/4 { // a fourth of what it were if all of each were told with every beat
		t.Errorf("of the load of 980 listeners others tell a node %.0f bytes a second", load)
	}
	for what, of := range map[string]func(clustersim.Figures) float64{
		"while nothing changes":  func(f clustersim.Figures) float64 { return f.Idle },
		"until all know all":     func(f clustersim.Figures) float64 { return float64(f.StartIn) },
		"after a split":          func(f clustersim.Figures) float64 { return float64(f.HealIn) },
		"while listeners change": func(f clustersim.Figures) float64 { return f.Changing },
		"while all are busy":     func(f clustersim.Figures) float64 { return f.Busy },
	} {
		if a, b := of(few), of(many); a <= 0 || b > 8*a { // 49 others and 9: 5.4
			t.Errorf("%s 10 nodes hear %.0f bytes, 50 of them %.0f", what, a, b)
		}
	}
}
