package generator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	t.Parallel()
	s, err := Parse(strings.Fields("give relay 127.0.0.1:1 2 3 4 8 6"))
	if want := (Spec{true, false, "127.0.0.1:1", 2, 3, 4, 8, 6}); err != nil || *s != want || s.Total() != 24 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, words := range []string{"", "give relay a 1 1 1 7 1", "give relay a 0 1 1 8 1", "give relay a 1 1 1 8 x"} {
		if _, err := Parse(strings.Fields(words)); err == nil {
			t.Errorf("%q was accepted", words)
		}
	}
}

func TestObey(t *testing.T) {
	t.Parallel()
	var done []string
	open := func(i int, cid uint64) error {
		done = append(done, fmt.Sprintf("open %d with %d", i, cid))
		return nil
	}
	start := func() error {
		done = append(done, "start")
		return nil
	}
	err := Obey(strings.NewReader("0 7\n1 8\ngo\n0 9\n"), 2, open, start)
	if want := []string{"open 0 with 7", "open 1 with 8", "start", "open 0 with 9"}; err != nil || !slices.Equal(done, want) {
		t.Errorf("did %q, %v", done, err)
	}
	for _, orders := range []string{"2 1\n", "-1 1\n", "x 1\n", "stop\n"} {
		if err := Obey(strings.NewReader(orders), 2, open, start); err == nil {
			t.Errorf("%q was obeyed", orders)
		}
	}
	broken := errors.New("broken")
	if err := Obey(strings.NewReader("go\n"), 2, open, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("an error of start is %v", err)
	}
}

// Of a hundred messages, the first ten and the last ten are not timed.
func TestMeter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewMeter(100)
		for range 100 {
			time.Sleep(time.Millisecond)
			m.Tally()
		}
		var out strings.Builder
		if err := m.Report(&out, []time.Duration{5, 6}, []time.Duration{7}); err != nil {
			t.Fatal(err)
		}
		if want := "80 80000000\n5\n6\n7\n"; out.String() != want {
			t.Errorf("the report is %q, want %q", out.String(), want)
		}
	})
	var out strings.Builder
	if err := NewMeter(0).Report(&out); err != nil || out.String() != "0 0\n" {
		t.Errorf("the report on nothing is %q, %v", out.String(), err)
	}
}
