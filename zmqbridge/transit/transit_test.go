package transit_test

import (
	"testing"
	"time"

	"github.com/zioflow/gateway/zmqbridge/transit"
)

// behind is a meter of a peer that took rate bytes a second for ten seconds while more
// waited.
func behind(rate uint64) *transit.Meter {
	m, now := new(transit.Meter), time.Unix(1e9, 0)
	for second := range uint64(11) {
		m.Watch(now.Add(time.Duration(second)*time.Second), true, 5<<20+second*rate)
	}
	m.Watch(now.Add(11*time.Second), false, 5<<20+11*rate)
	return m
}

func TestDelay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meter *transit.Meter
		asked uint64
		want  time.Duration
	}{
		"never full":                 {new(transit.Meter), 1 << 40, 0},
		"a little in front":          {behind(2 << 20), 4 << 20, 2 * time.Second},
		"more than buffers hold":     {behind(2 << 20), 1 << 40, 8 * time.Second},
		"a peer that takes a trifle": {behind(1), 1 << 40, 30 * time.Second},
		"a fast one":                 {behind(16 << 30), 16 << 20, time.Second / 1024},
	} {
		c.meter.Asked(c.asked)
		if got := c.meter.Delay(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A connection that was full at one look only, or from which nothing left, says nothing of
// its peer's rate.
func TestNoRate(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	var m transit.Meter
	for i := range 5 {
		m.Watch(now.Add(time.Duration(2*i)*time.Second), true, uint64(i)<<20)
		m.Watch(now.Add(time.Duration(2*i+1)*time.Second), false, uint64(i)<<20)
	}
	m.Watch(now.Add(20*time.Second), true, 5<<20)
	m.Watch(now.Add(30*time.Second), true, 5<<20)
	m.Asked(16 << 20)
	if got := m.Delay(); got != 0 {
		t.Errorf("%v, want none", got)
	}
}

// What a PONG has confirmed is not waited for again; one of several PINGs' confirms
// nothing, as it may be the first one's.
func TestAnswered(t *testing.T) {
	t.Parallel()
	m := behind(1 << 20)
	m.Answered() // nobody asked
	want := func(d time.Duration) {
		t.Helper()
		if got := m.Delay(); got != d {
			t.Errorf("%v, want %v", got, d)
		}
	}
	m.Asked(4 << 20)
	want(4 * time.Second)
	m.Answered()
	want(0)
	m.Asked(5 << 20)
	m.Asked(7 << 20)
	m.Answered()
	want(3 * time.Second)
	m.Answered()
	want(0)
}
