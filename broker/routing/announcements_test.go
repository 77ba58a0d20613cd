package routing

import (
	"fmt"
	"testing"

	"github.com/zioflow/gateway/broker/matching"
)

// here is somebody who listens at this node.
type here struct{}

func (here) Size() int                               { return 1 }
func (here) Far() bool                               { return false }
func (here) Takes(*Evaluation, uint64) (bool, error) { return false, nil }
func (here) Explain(*matching.View) string           { return "" }

// TestWithdrawnAreForgotten: what has left is not kept, however often others come.
func TestWithdrawnAreForgotten(t *testing.T) {
	t.Parallel()
	var table Table
	for i := range 10_000 {
		var entry *Entry
		if err := table.Announce(fmt.Sprint(i), func(*Entry, uint64) (*Entry, error) {
			entry = NewAnnounced(Route{Name: fmt.Sprint(i)}, here{})
			return entry, nil
		}); err != nil {
			t.Fatal(err)
		}
		table.Withdraw(entry, func() (last bool) { return i%1000 > 0 })
		n := 0
		for range table.Now().each {
			n++
		}
		if n > 1+2*len(table.announced.byName) {
			t.Fatalf("%d are kept, and %d are there", n, len(table.announced.byName))
		}
	}
}
