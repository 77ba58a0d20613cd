// Command bench measures how fast the gateway relays, and what that costs,
// beside baselines that do nothing but relay. docs/performance.md says how.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"
)

type cli struct {
	Run     runCommand     `cmd:"" help:"Measure everything."`
	Rate    rateCommand    `cmd:"" help:"Measure one rate, quickly."`
	Table   tableCommand   `cmd:"" help:"Print results as Markdown."`
	Panels  panelsCommand  `cmd:"" help:"Print what bench/chart draws."`
	Compare compareCommand `cmd:"" help:"Say what got slower."`
}

func main() {
	parsed := kong.Parse(&cli{}, kong.Name("bench"), kong.UsageOnError(),
		kong.Description("Measures the gateway beside baselines that do nothing but relay."))
	if err := parsed.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// prepare builds everything into bin/bench.
func prepare() (*programs, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	return build(root, filepath.Join(root, "bin", "bench"))
}

// runCommand measures a whole plan.
type runCommand struct {
	Out   string `arg:"" help:"File for the results, in the format of Go's benchmarks."`
	Short bool   `help:"Measure less, in a few minutes."`
}

// Run implements the command.
func (c *runCommand) Run() error {
	p, err := prepare()
	if err != nil {
		return err
	}
	chosen := full()
	if c.Short {
		chosen = short()
	}
	began := time.Now()
	if err := measure(chosen, p, c.Out); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "measured in %v: %s\n", time.Since(began).Round(time.Second), c.Out)
	return nil
}

// measure runs a plan and writes the results to a file, which appears complete.
func measure(chosen plan, p *programs, path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	record, err := newRecorder(file)
	if err == nil {
		err = (&measurement{plan: chosen, programs: p, record: record, progress: os.Stderr}).run()
	}
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// rateCommand measures one load on one or more paths.
type rateCommand struct {
	Paths  []string      `arg:"" optional:"" help:"native-native, grpc-grpc, native-grpc, grpc-native; all if none is named."`
	Size   int           `default:"4096" help:"Payload in bytes, at least 8."`
	Credit int           `default:"100" help:"How many messages may be under way; 1 for round trips."`
	Flows  int           `default:"1" help:"How many at once."`
	Rounds int           `default:"5" help:"How often each takes its turn."`
	During time.Duration `default:"500ms" help:"How long one turn takes, about."`
}

// Run implements the command.
func (c *rateCommand) Run() error {
	chosen, err := choose(c.Paths)
	if err != nil {
		return err
	}
	p, err := prepare()
	if err != nil {
		return err
	}
	s, err := startAll(p)
	if err != nil {
		return err
	}
	pairings, err := s.rate(chosen, load{flows: c.Flows, rounds: 1, size: c.Size, credit: c.Credit}, c.Rounds, c.During)
	if err := errors.Join(err, s.stop()); err != nil {
		return err
	}
	for _, path := range chosen {
		printRate(path, pairings)
	}
	return nil
}

func printRate(p path, pairings []pairing) {
	var gateway, baseline, ratio, cpu, baseCPU, mallocs []float64
	for _, one := range pairings {
		if one.path != p {
			continue
		}
		gateway = append(gateway, one.gateway.rate)
		baseline = append(baseline, one.baseline.rate)
		ratio = append(ratio, one.gateway.rate/one.baseline.rate)
		cpu = append(cpu, one.gateway.perMessage(one.gateway.cpu.Seconds())*1e6)
		baseCPU = append(baseCPU, one.baseline.perMessage(one.baseline.cpu.Seconds())*1e6)
		mallocs = append(mallocs, one.gateway.perMessage(one.gateway.mallocs))
	}
	r := spreadOf(ratio)
	fmt.Printf("%-13v gateway %8.0f/s, baseline %8.0f/s, ratio %.2f (%.2f to %.2f); CPU %.2f, baseline %.2f µs a message; %.2f allocations a message\n",
		p, spreadOf(gateway).median, spreadOf(baseline).median, r.median, r.low, r.high,
		spreadOf(cpu).median, spreadOf(baseCPU).median, spreadOf(mallocs).median)
}
