//go:build soak

package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// workDir holds the binaries and logs of this run.
var workDir string

func TestMain(m *testing.M) {
	if spec := os.Getenv(childVariable); spec != "" {
		os.Exit(beChild(spec))
	}
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	if workDir, err = os.MkdirTemp("", "soak"); err != nil {
		return 1, err
	}
	defer func() {
		if code == 0 {
			err = os.RemoveAll(workDir)
		} else {
			fmt.Println("logs are in", workDir)
		}
	}()
	code = m.Run()
	printFigures()
	return code, nil
}

// plainBinary and raceBinary build the gateway, once.
var (
	plainBinary = sync.OnceValues(func() (string, error) { return build("gateway") })
	raceBinary  = sync.OnceValues(func() (string, error) { return build("gateway-race", "-race") })
)

func build(name string, flags ...string) (string, error) {
	path := filepath.Join(workDir, name)
	args := append([]string{"build", "-o", path}, flags...)
	out, err := exec.Command("go", append(args, "github.com/zioflow/gateway/cmd/gateway")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// scale is SOAK_SCALE: how much of its full size a test has.
var scale = func() float64 {
	if f, err := strconv.ParseFloat(os.Getenv("SOAK_SCALE"), 64); err == nil && f > 0 {
		return f
	}
	return 1
}()

// scaled is n in this run's size, and at least least.
func scaled(n, least int) int { return max(least, int(float64(n)*scale)) }

// lasting is a duration in this run's size, and at least least.
func lasting(d, least time.Duration) time.Duration {
	return max(least, time.Duration(float64(d)*scale))
}

// seeded makes a test's random numbers, which SOAK_SEED repeats.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("SOAK_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("SOAK_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// inParallel calls f for 0 to n-1 in so many goroutines, and waits.
func inParallel(n, workers int, f func(int)) {
	var (
		next atomic.Int64
		wait sync.WaitGroup
	)
	for range workers {
		wait.Go(func() {
			for i := next.Add(1) - 1; int(i) < n; i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	wait.Wait()
}
