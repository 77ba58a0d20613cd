package main

import (
	"encoding/json"
	"math"
	"os"
	"slices"
)

// panelsCommand prints what bench/chart draws.
type panelsCommand struct {
	Results string `arg:"" help:"Result file."`
}

// Run implements the command.
func (c *panelsCommand) Run() error {
	all, err := readResults(c.Results)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(panelsOf(all))
}

// panel and series are as bench/chart reads them.
type panel struct {
	Title, X, Y string
	Categories  []string
	Bars        bool
	Series      []series
}

type series struct {
	Name              string
	Dashed            bool
	Color             int
	Median, Low, High []*float64
}

// panelsOf are two: how the gateway compares, and what it carries.
func panelsOf(all *results) []panel {
	usually := func(s subject) bool {
		return s.kind == "Rate" && s.flows == 1 && s.credit == usual(s.size) && !isFlows(all, s)
	}
	var sizes []int
	for _, s := range all.find(usually) {
		if !slices.Contains(sizes, s.size) {
			sizes = append(sizes, s.size)
		}
	}
	slices.Sort(sizes)
	var names []string
	for _, size := range sizes {
		names = append(names, bytesText(float64(size)))
	}
	of := func(p path, by map[subject]samples, unit string, factor float64) (s series) {
		for _, size := range sizes {
			x := spreadOf(by[subject{"Rate", p.String(), size, usual(size), 1}][unit])
			s.Median = append(s.Median, pointer(x.median*factor))
			s.Low = append(s.Low, pointer(x.low*factor))
			s.High = append(s.High, pointer(x.high*factor))
		}
		return s
	}
	ratio := panel{Title: "Rate of messages, gateway / baseline: median, lowest and highest round",
		X: "payload", Y: "ratio", Categories: names, Bars: true}
	rate := panel{Title: "Throughput of one flow", X: "payload", Y: "MB/s", Categories: names}
	for i, p := range paths {
		s := of(p, all.gateway, ratioRate, 1)
		s.Name, s.Color = p.String(), i
		ratio.Series = append(ratio.Series, s)
	}
	for i, p := range paths {
		s := of(p, all.gateway, unitBytes, 1e-6)
		s.Name, s.Color = p.String()+", gateway", i
		rate.Series = append(rate.Series, s)
		if p.giver == p.taker {
			s = of(p, all.baseline, unitBytes, 1e-6)
			s.Name, s.Color, s.Dashed = p.String()+", baseline", i, true
			rate.Series = append(rate.Series, s)
		}
	}
	return []panel{ratio, rate}
}

// pointer is nil for what JSON has no number for.
func pointer(x float64) *float64 {
	if math.IsNaN(x) {
		return nil
	}
	return &x
}
