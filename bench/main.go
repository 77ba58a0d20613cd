// Command bench measures how fast the gateway relays, and what that costs,
// beside baselines that do nothing but relay. docs/performance.md says how.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alecthomas/kong"
)

type cli struct {
	Rate rateCommand `cmd:"" help:"Measure one rate, quickly."`
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

// rateCommand measures one load on one or more paths.
type rateCommand struct {
	Paths  []string      `arg:"" optional:"" help:"native-native, grpc-grpc, native-grpc, grpc-native; all if none is named."`
	Size   int           `default:"4096" help:"Payload in bytes, at least 8."`
	Credit int           `default:"100"`
	Flows  int           `default:"1" help:"How many at once."`
	Rounds int           `default:"5"`
	During time.Duration `default:"500ms" help:"How long one trial takes, about."`
}

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
	if err := firstOf(err, s.stop()); err != nil {
		return err
	}
	for _, path := range chosen {
		printRate(path, pairings)
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// choose answers the paths of these names, all of them for none.
func choose(names []string) (chosen []path, err error) {
	for _, name := range names {
		i := slices.IndexFunc(paths, func(p path) bool { return p.String() == name })
		if i < 0 {
			return nil, fmt.Errorf("path %q: want one of %v", name, paths)
		}
		chosen = append(chosen, paths[i])
	}
	if len(chosen) == 0 {
		chosen = paths
	}
	return chosen, nil
}

// rate measures a load in rounds, after one to calibrate.
func (s *setUp) rate(paths []path, l load, rounds int, during time.Duration) (all []pairing, err error) {
	do, err := s.calibrate(paths, l, during)
	if err != nil {
		return nil, err
	}
	for n := range rounds {
		pairings, err := s.round(paths, do, n)
		if err != nil {
			return nil, err
		}
		all = append(all, pairings...)
	}
	return all, nil
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

// perMessage is an amount's share of one message.
func (o outcome) perMessage(amount float64) float64 { return amount / float64(o.load.total()) }
