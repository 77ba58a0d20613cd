//go:build soak

package soak

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/internal/native"
)

// figure is a line of the table in docs/reliability.md.
type figure struct{ test, wanted, measured string }

var figures struct {
	sync.Mutex
	all []figure
}

// report notes what a test has measured, for the table at the end.
func report(t *testing.T, wanted, measured string, args ...any) {
	t.Helper()
	f := figure{t.Name(), wanted, fmt.Sprintf(measured, args...)}
	t.Logf("wanted: %s; measured: %s", f.wanted, f.measured)
	figures.Lock()
	defer figures.Unlock()
	figures.all = append(figures.all, f)
}

func printFigures() {
	figures.Lock()
	defer figures.Unlock()
	for _, f := range figures.all {
		fmt.Printf("| %s | %s | %s |\n", f.test, f.wanted, f.measured)
	}
}

// sample is a set of durations. It may be added to concurrently.
type sample struct {
	mu     sync.Mutex
	values []time.Duration // guarded by mu
}

func (s *sample) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values = append(s.values, d)
}

// quantile answers the q-quantile; 0 of nothing.
func (s *sample) quantile(q float64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.values) == 0 {
		return 0
	}
	slices.Sort(s.values)
	return s.values[int(q*float64(len(s.values)-1))]
}

func (s *sample) max() time.Duration { return s.quantile(1) }

func (s *sample) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.values)
}

// String is the distribution.
func (s *sample) String() string {
	return fmt.Sprintf("median %v, p99 %v, max %v of %d",
		brief(s.quantile(0.5)), brief(s.quantile(0.99)), brief(s.max()), s.count())
}

// tally counts what was seen, by name. It may be added to concurrently.
type tally struct {
	mu     sync.Mutex
	counts map[string]int // guarded by mu
}

func (y *tally) add(name string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.counts == nil {
		y.counts = map[string]int{}
	}
	y.counts[name]++
}

func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	var words []string
	for _, name := range slices.Sorted(maps.Keys(y.counts)) {
		words = append(words, fmt.Sprintf("%s %d", name, y.counts[name]))
	}
	return strings.Join(words, ", ")
}

// reasonOf is how a side's flow ended, in a word or two.
func reasonOf(err error) string {
	var end *native.EndError
	switch {
	case err == nil:
		return "completed"
	case errors.Is(err, io.EOF):
		return "EOT"
	case errors.Is(err, errWrong):
		return "wrong data"
	case errors.As(err, &end):
		return end.Reason
	case errors.Is(err, native.ErrTimeout):
		return "own timeout"
	default:
		return "status " + status.Code(err).String()
	}
}

// brief is a duration to three digits or so.
func brief(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(100 * time.Microsecond)
	default:
		return d.Round(time.Microsecond)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func mib(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

func kib(bytes int64) string { return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10)) }
