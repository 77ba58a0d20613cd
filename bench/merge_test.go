package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"
)

func writeResults(t *testing.T, write func(*recorder) error, notes ...benchfmt.Config) (path string) {
	t.Helper()
	var file bytes.Buffer
	r, err := newRecorder(&file, notes...)
	if err == nil {
		err = write(r)
	}
	path = filepath.Join(t.TempDir(), "results.txt")
	if err := errors.Join(err, os.WriteFile(path, file.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

// What was measured again takes its old place, what is new comes last, and the
// rest stays.
func TestMerge(t *testing.T) {
	old := writeResults(t, func(r *recorder) error {
		return errors.Join(rounds(like(curve), 100, 110)(r), rounds(like(native), 900)(r))
	}, note("date", "2020-01-01"))
	now := writeResults(t, func(r *recorder) error {
		return errors.Join(rounds(like(dealer), 500)(r), rounds(like(curve), 700)(r))
	}, note(keyOnly, "dealer,curve"), note("date", "2021-01-01"))
	if err := (&mergeCommand{Old: old, New: now, Out: old}).Run(); err != nil {
		t.Fatal(err)
	}
	all, err := readResults(old)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, s := range all.subjects {
		order = append(order, s.path)
	}
	if want := []string{"curve-curve", "native-native", "dealer-dealer"}; !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
	for path, want := range map[path]float64{like(curve): 0.7, like(native): 0.9, like(dealer): 0.5} {
		about := subject{"Rate", path.String(), small, 100, 1}
		if got := all.gateway[about][ratioRate]; !slices.Equal(got, []float64{want}) {
			t.Errorf("%v is %v, want %v", path, got, want)
		}
		if got := len(all.baseline[about][unitRate]); got != 1 {
			t.Errorf("%v has %d baselines", path, got)
		}
	}
	if all.config[keyOnly] != "" || all.config["cores"] == "" {
		t.Errorf("the head is %v", all.config)
	}
	if got := all.config["date"]; !strings.Contains(got, "2020-01-01") || !strings.Contains(got, "2021-01-01") {
		t.Errorf("the dates are %q", got)
	}
}

func TestMergeNothing(t *testing.T) {
	some := writeResults(t, rounds(like(native), 900))
	empty := filepath.Join(t.TempDir(), "none.txt")
	for _, c := range []mergeCommand{{some, empty, some}, {empty, some, some}} {
		if err := c.Run(); err == nil {
			t.Errorf("%+v went well", c)
		}
	}
	if _, err := readResults(some); err != nil {
		t.Error(err)
	}
}
