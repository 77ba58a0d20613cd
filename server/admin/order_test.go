package admin

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/relay"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestBest: the first ones of many are those that all of them in order begin with, in both
// directions, from any place on; one direction is the other one backwards.
func TestBest(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]candidate, 3000)
	for i := range all {
		all[i].place = place{value: float64(random.IntN(50)), node: string(rune('a' + random.IntN(3))), at: "id", id: uint64(i)}
	}
	var down []place
	for _, c := range all {
		down = append(down, c.place)
	}
	slices.SortFunc(down, func(a, b place) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.node, b.node), cmp.Compare(b.id, a.id))
	})
	up := slices.Clone(down)
	slices.Reverse(up)
	for direction, want := range [][]place{up, down} {
		for _, size := range []int{1, 7, 1000} {
			for _, from := range []int{0, 1, 1234, 2995} {
				o, err := newOrder(&gatewayv1.ListFlowsRequest{OrderBy: []string{"id", "id desc"}[direction], PageSize: int32(size)})
				if err != nil {
					t.Fatal(err)
				}
				if from > 0 {
					token := want[from-1].token(o.page.query)
					if o.after, err = resumed(token, o.page.query); err != nil {
						t.Fatal(err)
					}
				}
				b := &best{ordering: o}
				for _, c := range all {
					if o.behind(c.place) {
						b.put(c)
					}
				}
				b.cut()
				page := want[from:min(from+size, len(want))]
				if !slices.EqualFunc(b.kept, page, func(c candidate, p place) bool { return c.place == p }) {
					t.Errorf("in direction %d, %d from %d on are not the first ones", direction, size, from)
				}
			}
		}
	}
}

// TestMeasures: flows are put in order by what is shown of them.
func TestMeasures(t *testing.T) {
	t.Parallel()
	s := manyFlows(t, 1, "")
	for f := range s.broker.FlowsBefore(broker.Latest) {
		for _, pace := range []relay.Pace{{}, {
			MessageRate: 12.345, ByteRate: 1e9 + 0.06,
			Waits: ledger.Waits{Giver: time.Second, Taker: 2 * time.Second, Gateway: time.Second / 4},
		}} {
			info := f.Info()
			info.MessageRate, info.ByteRate, info.Waits = pace.MessageRate, pace.ByteRate, pace.Waits
			shown := toFlow(&info, listedAttributes)
			for _, m := range measures {
				if is := m.of(f, &pace); is != m.shown(shown) || is == 0 && pace.MessageRate > 0 {
					t.Errorf("%s is %v, and shown is %v", m.field, is, m.shown(shown))
				}
			}
		}
	}
}

// BenchmarkOrdered is what it takes to find the 50 fastest of 10,000 flows.
func BenchmarkOrdered(b *testing.B) {
	s := manyFlows(b, 10_000, `,"stream":"raw"`)
	for _, filter := range []string{"", `attributes.stream == "raw"`} {
		b.Run(fmt.Sprintf("filter %q", filter), func(b *testing.B) {
			for b.Loop() {
				r, err := s.ListFlows(b.Context(), &gatewayv1.ListFlowsRequest{OrderBy: "messages_per_second desc", PageSize: 50, Filter: filter})
				if err != nil || r.GetTotalSize() < 10_000 {
					b.Fatalf("%d, %v", r.GetTotalSize(), err)
				}
			}
		})
	}
}
