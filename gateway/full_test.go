package gateway

import (
	"testing"
	"time"
)

// TestFullForLong: a gateway that has no room is not ready when that has lasted, and is
// again as soon as there is some.
func TestFullForLong(t *testing.T) {
	t.Parallel()
	f, begin := newFullness(), time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		after time.Duration
		full  bool
		want  string
	}{
		{0, true, ""},
		{fullPatience - 1, true, ""},
		{fullPatience, true, "no room for more bytes (--max-bytes) since 2027-01-15T08:00:00Z"},
		{fullPatience + time.Second, false, ""},
		{fullPatience + 2*time.Second, true, ""},
	} {
		now := begin.Add(c.after)
		if f.look(c.full, now); f.notReady(now) != c.want {
			t.Errorf("after %v: %q, want %q", c.after, f.notReady(now), c.want)
		}
	}
	f.stop()
	f.stop()
}
