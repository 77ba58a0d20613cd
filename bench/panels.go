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

// panelsOf are two: how the gateway compares, and what it carries; and a third
// about native peers alone, if others than CLIENTs were measured.
func panelsOf(all *results) []panel {
	d := diagram{all: all}
	for _, s := range all.find(usually(all, allPaths)) {
		if !slices.Contains(d.sizes, s.size) {
			d.sizes = append(d.sizes, s.size)
		}
	}
	slices.Sort(d.sizes)
	ratio := d.ratios("Rate of messages, gateway / baseline: median and middle half of the rounds", paths)
	rate := panel{Title: "Throughput of one flow", X: "payload", Y: "MB/s", Categories: d.categories()}
	for i, p := range paths {
		s := d.of(p, all.gateway, unitBytes, 1e-6)
		s.Name, s.Color = p.String()+", gateway", i
		rate.Series = append(rate.Series, s)
		if p.giver == p.taker {
			s = d.of(p, all.baseline, unitBytes, 1e-6)
			s.Name, s.Color, s.Dashed = p.String()+", baseline", i, true
			rate.Series = append(rate.Series, s)
		}
	}
	panels := []panel{ratio, rate}
	natives := choosing([]path{like(native), like(dealer), like(curve)}, func(p *path) bool {
		return len(all.find(usually(all, []path{*p}))) > 0
	})
	if len(natives) > 1 {
		panels = append(panels, d.ratios("The same for native peers, each beside a relay in C on libzmq", natives))
	}
	return panels
}

// usually matches one flow on some paths with the usual credit.
func usually(all *results, on []path) func(subject) bool {
	return func(s subject) bool {
		return s.kind == "Rate" && s.flows == 1 && s.credit == usual(s.size) && !isFlows(all, s) &&
			slices.ContainsFunc(on, func(p path) bool { return p.String() == s.path })
	}
}

// diagram is results by size.
type diagram struct {
	all   *results
	sizes []int
}

func (d diagram) categories() (names []string) {
	for _, size := range d.sizes {
		names = append(names, bytesText(float64(size)))
	}
	return names
}

// of is a path's figures, by the gateway or the baseline.
func (d diagram) of(p path, by map[subject]samples, unit string, factor float64) (s series) {
	for _, size := range d.sizes {
		x := spreadOf(by[subject{"Rate", p.String(), size, usual(size), 1}][unit])
		s.Median = append(s.Median, pointer(x.median*factor))
		s.Low = append(s.Low, pointer(x.first*factor))
		s.High = append(s.High, pointer(x.third*factor))
	}
	return s
}

// ratios are bars of how the gateway compares on some paths.
func (d diagram) ratios(title string, on []path) panel {
	p := panel{Title: title, X: "payload", Y: "ratio", Categories: d.categories(), Bars: true}
	for i, one := range on {
		s := d.of(one, d.all.gateway, ratioRate, 1)
		s.Name, s.Color = one.String(), i
		p.Series = append(p.Series, s)
	}
	return p
}

// pointer is nil for what JSON has no number for.
func pointer(x float64) *float64 {
	if math.IsNaN(x) {
		return nil
	}
	return &x
}
