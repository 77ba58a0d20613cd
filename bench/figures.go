package main

import "fmt"

// wish is a figure that the project wants.
type wish struct {
	about subject
	unit  string
	value float64
}

// reached tells whether a figure is as wanted.
func (w wish) reached(figure float64) bool {
	if better[w.unit] {
		return figure >= w.value
	}
	return figure <= w.value
}

// wishes are all of them, but for the allocations.
func wishes() (all []wish) {
	all = append(all, rateWishes()...)
	for _, flows := range []int{10, 100, 1000} {
		all = append(all, wish{subject{"Rate", like(raw).String(), flowsSize, flowsCredit, flows}, ratioRate, 2.0})
	}
	all = append(all, wish{subject{"Rate", like(raw).String(), flowsSize, flowsCredit, 1000}, ratioCPUOfTen, 1.5})
	for _, p := range paths {
		all = append(all, wish{subject{"Rate", p.String(), flowsSize, flowsCredit, 1000}, ratioOfTen, 0.9})
	}
	all = append(all, tripWishes()...)
	for _, flows := range []int{1, 100} {
		all = append(all, wish{subject{kind: "Opening", path: like(native).String(), flows: flows}, ratioFlows, 0.6})
	}
	return append(all, wish{subject{kind: "Idle", path: like(raw).String(), flows: 10_000}, unitIdleBytes, 20 << 10})
}

// rateWishes are about one flow with the usual credit.
func rateWishes() (all []wish) {
	sizes := []int{small, page, medium, large, tensor, huge}
	const none = 0 // nothing is wanted
	for _, w := range []struct {
		path   path
		values [6]float64
	}{
		{like(native), [6]float64{1.10, 1.25, 1.10, 1.05, 1.05, 1.00}},
		{like(viaGRPC), [6]float64{1.0, 1.0, none, 1.5, 1.5, none}},
		{path{native, viaGRPC}, [6]float64{1.0, 1.3, 1.3, 1.3, 1.3, 1.3}},
		{path{viaGRPC, native}, [6]float64{1.0, 1.3, 1.3, 1.3, 1.3, 1.3}},
		{like(dealer), [6]float64{1.0, 1.0, 1.0, 1.0, 1.0, 1.0}},
		{like(curve), [6]float64{1.0, 1.0, none, 0.75, 0.75, none}},
	} {
		for i, size := range sizes {
			if w.values[i] != none {
				all = append(all, wish{subject{"Rate", w.path.String(), size, usual(size), 1}, ratioRate, w.values[i]})
			}
		}
	}
	return all
}

// tripWishes are about a credit of 1.
func tripWishes() (all []wish) {
	for _, w := range []struct {
		path  path
		sizes []int
	}{{like(native), []int{small, page, large}}, {like(dealer), []int{small, page}}} {
		for _, size := range w.sizes {
			about := subject{"RoundTrip", w.path.String(), size, 1, 1}
			all = append(all, wish{about, ratioRate, 1.0}, wish{about, ratioP99, 1.1})
		}
	}
	for _, p := range paths {
		if p != like(native) {
			all = append(all, wish{subject{"RoundTrip", p.String(), small, 1, 1}, ratioP99, 1.5})
		}
	}
	return all
}

func (w wish) text() string {
	of := w.about.path
	if w.about.size > 0 {
		of += ", " + bytesText(float64(w.about.size))
	}
	switch w.unit {
	case ratioP99:
		return fmt.Sprintf("p99 of a round trip, %s / baseline's", of)
	case ratioOfTen:
		return fmt.Sprintf("rate of %d flows / rate of 10, %s", w.about.flows, w.about.path)
	case ratioCPUOfTen:
		return fmt.Sprintf("CPU a message of %d flows / that of 10, %s", w.about.flows, w.about.path)
	case ratioFlows:
		return fmt.Sprintf("flows opened and ended, %s, %d at once / baseline's", of, w.about.flows)
	case unitIdleBytes:
		return fmt.Sprintf("KiB of an idle flow, %s, %d of them", of, w.about.flows)
	}
	if w.about.flows > 1 {
		of += fmt.Sprintf(", %d flows", w.about.flows)
	}
	if w.about.credit == 1 {
		of += ", credit 1"
	}
	return fmt.Sprintf("rate, %s / baseline's", of)
}

// find is the wish about what was measured: of idle flows, about as many as the
// machine had descriptors for.
func (w wish) find(all *results) wish {
	if w.about.kind != "Idle" {
		return w
	}
	most := 0
	for _, s := range all.find(func(s subject) bool { return s.kind == w.about.kind && s.path == w.about.path }) {
		most = max(most, s.flows)
	}
	w.about.flows = most
	return w
}

// scale is by what a figure is multiplied to be read.
func (w wish) scale() float64 {
	if w.unit == unitIdleBytes {
		return 1.0 / (1 << 10)
	}
	return 1
}
