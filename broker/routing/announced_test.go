package routing_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
)

// crew is who listens under a name: so many here, and elsewhere.
type crew struct{ near, away int }

func (c *crew) Size() int                                       { return c.near + c.away }
func (c *crew) Far() bool                                       { return c.near == 0 }
func (c *crew) Takes(*routing.Evaluation, uint64) (bool, error) { return false, nil }
func (c *crew) Explain(*matching.View) string                   { return "" }

func (c *crew) count(near bool, n int) {
	if near {
		c.near += n
	} else {
		c.away += n
	}
}

// stage is a name, and who listens under it now, as from the last time on that anybody did.
type stage struct {
	*crew

	name  string
	born  int
	entry *routing.Entry
}

// join has one more listen under the name.
func (s *stage) join(t testing.TB, table *routing.Table, near bool) {
	t.Helper()
	err := table.Announce(s.name, func(present *routing.Entry, _ uint64) (*routing.Entry, error) {
		if (present == nil) != (s.Size() == 0) || present != nil && present != s.entry {
			t.Errorf("%s, under which %d listen, is %v", s.name, s.Size(), present)
		}
		if present == nil {
			s.crew = new(crew)
			s.entry = routing.NewAnnounced(routing.Route{Name: s.name}, s.crew)
		}
		s.count(near, 1)
		return s.entry, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// leave has one less.
func (s *stage) leave(table *routing.Table, near bool) {
	table.Withdraw(s.entry, func() (last bool) {
		s.count(near, -1)
		return s.Size() == 0
	})
}

// TestAnnouncedOrder: whoever comes and goes, and whenever somebody looks, the routes that
// are announced stand in the order in which their names came, those of this node in front;
// between them and the routes that are set all is by priority. Who waits for a change hears
// of each.
func TestAnnouncedOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		var table routing.Table
		for _, r := range []routing.Route{{Name: "first", Priority: 1}, {Name: "last", Priority: -1}, {Name: "middle"}} {
			r.Factory = none{}
			if _, err := table.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := table.AddDefault(routing.Route{Name: "default", Priority: 5, Factory: none{}}); err != nil {
			t.Fatal(err)
		}
		stages, born := make([]*stage, 60), 0
		for i := range stages {
			stages[i] = &stage{crew: new(crew), name: fmt.Sprint("stage-", i)}
		}
		for range 1500 {
			var waiting *routing.Arrangement
			if random.IntN(4) == 0 {
				waiting = table.Now()
			}
			s, near := stages[random.IntN(len(stages))], random.IntN(2) == 0
			has := map[bool]int{true: s.near, false: s.away}[near]
			was, far := s.Size(), s.Far()
			if has > 0 && random.IntN(2) == 0 {
				s.leave(&table, near)
			} else {
				if s.Size() == 0 {
					born++
					s.born = born
				}
				s.join(t, &table, near)
			}
			if waiting != nil && (s.Size() > was || s.Size() == 0 || s.Far() != far) {
				select {
				case <-waiting.Changed:
				default:
					t.Fatalf("seed %d: who waits was not told of %+v", seed, s)
				}
			}
			if random.IntN(4) > 0 {
				continue // nobody looks
			}
			if got, want := names(&table), expected(stages); !slices.Equal(got, want) {
				t.Fatalf("seed %d: the order is %v, want %v", seed, got, want)
			}
		}
		if n := len(slices.Collect(table.EachAnnounced)); n != len(expected(stages))-4 {
			t.Errorf("seed %d: %d are announced, want %d", seed, n, len(expected(stages))-4)
		}
	}
}

type none struct{}

func (none) Find(context.Context, *routing.Request) error { return nil }

func names(table *routing.Table) (all []string) {
	for _, r := range table.List() {
		all = append(all, r.Name)
	}
	return all
}

// expected is the order by its definition.
func expected(stages []*stage) []string {
	there := slices.DeleteFunc(slices.Clone(stages), func(s *stage) bool { return s.Size() == 0 })
	slices.SortFunc(there, func(a, b *stage) int {
		if a.Far() != b.Far() {
			if b.Far() {
				return -1
			}
			return 1
		}
		return a.born - b.born
	})
	all := []string{"first", "middle"}
	for _, s := range there {
		all = append(all, s.name)
	}
	return append(all, "last", "default")
}

// BenchmarkAnnounced has as many names come and go, with a look at each hundredth of them: what
// one costs.
func BenchmarkAnnounced(b *testing.B) {
	for _, names := range []int{100, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(names), func(b *testing.B) {
			all := make([]*stage, names)
			for i := range all {
				all[i] = &stage{crew: new(crew), name: fmt.Sprint("stage-", i)}
			}
			for b.Loop() {
				var table routing.Table
				for i, s := range all {
					s.join(b, &table, i%2 == 0)
					if i%100 == 0 {
						table.Now()
					}
				}
				for i, s := range all {
					s.leave(&table, i%2 == 0)
					if i%100 == 0 {
						table.Now()
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2*names), "ns/change")
		})
	}
}
