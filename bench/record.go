package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"
)

// Units of a result file. What begins with "ratio" is the gateway's figure
// divided by the baseline's, from one round, unless it says otherwise.
const (
	unitRate       = "msg/s"
	unitBytes      = "B/s"
	unitCPUPerGB   = "cpu-sec/GB"
	unitCPUPerMsg  = "cpu-sec/Mmsg"
	unitMallocs    = "allocs/msg"
	unitPeak       = "peak-B"
	unitP50        = "p50-sec"
	unitP99        = "p99-sec"
	unitP999       = "p99.9-sec"
	unitFlows      = "flows/s"
	unitIdleBytes  = "B/flow"
	unitIdleCPU    = "cpu-sec/flow-hour"
	ratioRate      = "ratio"
	ratioP50       = "ratio-p50"
	ratioP99       = "ratio-p99"
	ratioFlows     = "ratio-flows"
	ratioIdleBytes = "ratio-memory"
	ratioCPU       = "ratio-cpu"
	ratioOfTen     = "ratio-of-10-flows"     // its own rate with 10 flows is 1
	ratioCPUOfTen  = "ratio-cpu-of-10-flows" // the same of its own CPU time for a message
)

// ratios are the units by which benchmarks are compared.
var ratios = []string{ratioRate, ratioCPU, ratioP50, ratioP99, ratioFlows, ratioOfTen, ratioCPUOfTen, ratioIdleBytes}

// better says of each of them whether more is better.
var better = map[string]bool{
	ratioRate: true, ratioFlows: true, ratioOfTen: true,
	ratioP50: false, ratioP99: false, ratioIdleBytes: false, ratioCPU: false, ratioCPUOfTen: false,
}

// recorder writes results in the format of Go's benchmarks, as benchstat reads
// it: for each round, a line for the gateway and one for the baseline.
type recorder struct {
	out         *benchfmt.Writer
	notes       []benchfmt.Config // stand at the head, too
	notMeasured []string          // stands at the head of what is written from then on
}

func newRecorder(w io.Writer, notes ...benchfmt.Config) (*recorder, error) {
	r := &recorder{out: benchfmt.NewWriter(w), notes: notes}
	for _, unit := range ratios {
		value := "lower"
		if better[unit] {
			value = "higher"
		}
		meta := &benchfmt.UnitMetadata{UnitMetadataKey: benchfmt.UnitMetadataKey{Unit: unit, Key: "better"}, OrigUnit: unit, Value: value}
		if err := r.out.Write(meta); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// values are what a line says, in order.
type values []benchfmt.Value

func (v *values) add(value float64, unit string) {
	*v = append(*v, benchfmt.Value{Value: value, Unit: unit})
}

func (r *recorder) write(name string, iterations int, v values) error {
	config := slices.Concat(configuration, r.notes)
	if len(r.notMeasured) > 0 {
		config = append(config, note(keyNotMeasured, strings.Join(r.notMeasured, "; ")))
	}
	return r.out.Write(&benchfmt.Result{Config: config, Name: benchfmt.Name(name), Iters: max(1, iterations), Values: v})
}

// What a result file's head may say besides.
const (
	keyNotMeasured = "not-measured"
	keyOnly        = "only"    // which parts and paths were measured, if not all
	keyGateway     = "gateway" // which one, if not that of the source as it is
)

func note(key, value string) benchfmt.Config {
	return benchfmt.Config{Key: key, Value: []byte(value), File: true}
}

// configuration heads a result file.
var configuration = func() (all []benchfmt.Config) {
	for _, entry := range [][2]string{
		{"goos", runtime.GOOS}, {"goarch", runtime.GOARCH}, {"go", runtime.Version()},
		{"cpu", processor()}, {"cores", fmt.Sprint(runtime.NumCPU())},
		{"date", time.Now().UTC().Format(time.DateOnly)},
	} {
		all = append(all, note(entry[0], entry[1]))
	}
	return all
}()

func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // elsewhere it is unknown
	for line := range strings.Lines(string(info)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// name is that of a benchmark, without who it is by.
func (p path) name(kind string, l load) string {
	return fmt.Sprintf("%s/path=%v/size=%d/credit=%d/flows=%d", kind, p, l.size, l.credit, l.flows)
}

// rate writes a round of a path down, and compares it with that of ten flows, if
// there is one.
func (r *recorder) rate(p, ten pairing) error {
	kind := "Rate"
	if p.gateway.load.credit == 1 {
		kind = "RoundTrip"
	}
	name := p.path.name(kind, p.gateway.load)
	b := p.baseline.rates()
	b.compareTen(p.baseline, ten.baseline)
	if err := r.write(name+"/by=baseline", p.baseline.load.total(), b); err != nil {
		return err
	}
	v := p.gateway.rates()
	v.add(p.gateway.perMessage(p.gateway.mallocs), unitMallocs)
	v.add(p.gateway.rate/p.baseline.rate, ratioRate)
	v.add(p.gateway.perMessage(p.gateway.cpu.Seconds())/p.baseline.perMessage(p.baseline.cpu.Seconds()), ratioCPU)
	if kind == "RoundTrip" {
		v.compareQuantiles(p)
	}
	v.compareTen(p.gateway, ten.gateway)
	return r.write(name+"/by=gateway", p.gateway.load.total(), v)
}

func (v *values) compareTen(o, ten outcome) {
	if ten.rate > 0 {
		v.add(o.rate/ten.rate, ratioOfTen)
		v.add(o.perMessage(o.cpu.Seconds())/ten.perMessage(ten.cpu.Seconds()), ratioCPUOfTen)
	}
}

func (v *values) compareQuantiles(p pairing) {
	v.add(quantileRatio(p, 0.5), ratioP50)
	v.add(quantileRatio(p, 0.99), ratioP99)
}

func quantileRatio(p pairing, q float64) float64 {
	return float64(quantile(p.gateway.samples, q)) / float64(quantile(p.baseline.samples, q))
}

func (o outcome) rates() (v values) {
	v.add(o.rate, unitRate)
	v.add(o.rate*float64(o.load.size), unitBytes)
	v.add(o.perMessage(o.cpu.Seconds())/float64(o.load.size)*1e9, unitCPUPerGB)
	v.add(o.perMessage(o.cpu.Seconds())*1e6, unitCPUPerMsg)
	v.add(float64(o.peak), unitPeak)
	if o.load.credit == 1 {
		v.quantiles(o)
	}
	return v
}

func (v *values) quantiles(o outcome) {
	v.add(quantile(o.samples, 0.5).Seconds(), unitP50)
	v.add(quantile(o.samples, 0.99).Seconds(), unitP99)
	v.add(quantile(o.samples, 0.999).Seconds(), unitP999)
}

func (r *recorder) opening(p pairing) error {
	name := fmt.Sprintf("Opening/path=%v/flows=%d", p.path, p.gateway.load.flows)
	line := func(o outcome) (v values) {
		v.add(o.openings(), unitFlows)
		v.quantiles(o)
		return v
	}
	if err := r.write(name+"/by=baseline", len(p.baseline.samples), line(p.baseline)); err != nil {
		return err
	}
	v := line(p.gateway)
	v.add(p.gateway.openings()/p.baseline.openings(), ratioFlows)
	v.compareQuantiles(p)
	return r.write(name+"/by=gateway", len(p.gateway.samples), v)
}

// beside writes down the round trips of a flow beside so many others. Only the
// slow ones are compared: when the others pause, a flow makes so many fast ones
// that the median says nothing.
func (r *recorder) beside(p pairing, others int) error {
	l := p.gateway.load
	l.flows = others
	name := p.path.name("Beside", l)
	var b, v values
	b.quantiles(p.baseline)
	if err := r.write(name+"/by=baseline", len(p.baseline.samples), b); err != nil {
		return err
	}
	v.quantiles(p.gateway)
	v.add(quantileRatio(p, 0.99), ratioP99)
	return r.write(name+"/by=gateway", len(p.gateway.samples), v)
}

func (r *recorder) idle(p path, flows int, gateway, baseline idleCost) error {
	name := fmt.Sprintf("Idle/path=%v/flows=%d", p, flows)
	line := func(c idleCost) (v values) {
		v.add(c.bytes, unitIdleBytes)
		v.add(c.cpu*3600, unitIdleCPU)
		return v
	}
	if err := r.write(name+"/by=baseline", flows, line(baseline)); err != nil {
		return err
	}
	v := line(gateway)
	v.add(gateway.bytes/baseline.bytes, ratioIdleBytes)
	return r.write(name+"/by=gateway", flows, v)
}
