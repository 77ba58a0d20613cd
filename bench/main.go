// Command bench measures how fast the gateway relays, and what that costs,
// beside baselines that do nothing but relay. docs/performance.md says how.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/perf/benchfmt"
)

type cli struct {
	Run     runCommand     `cmd:"" help:"Measure everything."`
	Rate    rateCommand    `cmd:"" help:"Measure one rate, quickly."`
	Table   tableCommand   `cmd:"" help:"Print results as Markdown."`
	Panels  panelsCommand  `cmd:"" help:"Print what bench/chart draws."`
	Compare compareCommand `cmd:"" help:"Say what got slower."`
	Merge   mergeCommand   `cmd:"" help:"Put a part that was measured again into results."`
	Carried carriedCommand `cmd:"" help:"Measure flows that are carried between two nodes of a cluster, beside flows on one gateway."`
	Cluster clusterCommand `cmd:"" help:"Simulate clusters of many nodes, in simulated time."`
}

func main() {
	parsed := kong.Parse(&cli{}, kong.Name("bench"), kong.UsageOnError(),
		kong.Vars{"parts": names(parts), "paths": names(allPaths)},
		kong.Description("Measures the gateway beside baselines that do nothing but relay."))
	if err := parsed.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// runCommand measures a whole plan.
type runCommand struct {
	Out   string `arg:"" help:"File for the results, in the format of Go's benchmarks."`
	Short bool   `help:"Measure less, in a few minutes."`
	selection
	gatewayChoice
}

// Run implements the command.
func (c *runCommand) Run() error {
	chosen := full()
	if c.Short {
		chosen = short()
	}
	chosen, err := c.of(chosen)
	if err != nil {
		return err
	}
	p, err := c.prepare()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := measure(chosen, p, c.Out, c.notes()); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "measured in %v: %s\n", time.Since(began).Round(time.Second), c.Out)
	return nil
}

// notes are what a result file's head says of the choice.
func (c *runCommand) notes() (all []benchfmt.Config) {
	if !c.everything() {
		all = append(all, note(keyOnly, c.String()))
	}
	if c.Gateway != "" || len(c.GatewayFlags) > 0 {
		all = append(all, note(keyGateway, strings.Join(append([]string{filepath.Base(c.Gateway)}, c.GatewayFlags...), " ")))
	}
	return all
}

// measure runs a plan and writes the results to a file, which appears complete;
// if it fails, to one that is named partial.
func measure(chosen plan, p *programs, path string, notes []benchfmt.Config) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	record, err := newRecorder(file, notes...)
	if err == nil {
		err = (&measurement{plan: chosen, programs: p, record: record, progress: os.Stderr}).run()
	}
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return errors.Join(err, os.Rename(file.Name(), path+".partial"))
	}
	return os.Rename(file.Name(), path)
}

// rateCommand measures one load on one or more paths.
type rateCommand struct {
	Paths  []string      `arg:"" optional:"" help:"Which, of ${paths}; the four of native and grpc if none is named."`
	Size   int           `default:"4096" help:"Payload in bytes, at least 8."`
	Credit int           `default:"100" help:"How many messages may be under way; 1 for round trips."`
	Flows  int           `default:"1" help:"How many at once."`
	Rounds int           `default:"5" help:"How often each takes its turn."`
	During time.Duration `default:"500ms" help:"How long one turn takes, about."`
	gatewayChoice
}

// Run implements the command.
func (c *rateCommand) Run() error {
	chosen, err := choose(c.Paths)
	if err != nil {
		return err
	}
	p, err := c.prepare()
	if err != nil {
		return err
	}
	s, err := start(p, chosen)
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
	var gateway, baseline, ratio, cpu, baseCPU, mallocs, p99 []float64
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
		p99 = append(p99, quantileRatio(one, 0.99))
	}
	r := spreadOf(ratio)
	fmt.Printf("%-13v gateway %8.0f/s, baseline %8.0f/s, ratio %.2f (%.2f to %.2f); CPU %.2f, baseline %.2f µs a message; %.2f allocations a message\n",
		p, spreadOf(gateway).median, spreadOf(baseline).median, r.median, r.low, r.high,
		spreadOf(cpu).median, spreadOf(baseCPU).median, spreadOf(mallocs).median)
	if pairings[0].gateway.load.credit == 1 {
		r = spreadOf(p99)
		fmt.Printf("%-13s p99 of a round trip: ratio %.2f (%.2f to %.2f)\n", "", r.median, r.low, r.high)
	}
}
