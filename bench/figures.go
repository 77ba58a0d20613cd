package main

// wish is a figure that the project wants of a ratio.
type wish struct {
	about subject
	unit  string
	value float64
}

// reached tells whether a ratio is as wanted.
func (w wish) reached(ratio float64) bool {
	if better[w.unit] {
		return ratio >= w.value
	}
	return ratio <= w.value
}

// wishes are all of them, but for the allocations.
func wishes() (all []wish) {
	sizes := []int{small, page, large, tensor}
	for _, w := range []struct {
		path   string
		values [4]float64
	}{
		{"native-native", [4]float64{0.80, 0.90, 0.95, 0.95}},
		{"grpc-grpc", [4]float64{1.0, 1.0, 1.5, 1.5}},
		{"native-grpc", [4]float64{1.0, 1.0, 1.3, 1.3}},
		{"grpc-native", [4]float64{1.0, 1.0, 1.3, 1.3}},
	} {
		for i, size := range sizes {
			all = append(all, wish{subject{"Rate", w.path, size, usual(size), 1}, ratioRate, w.values[i]})
		}
	}
	for _, p := range paths {
		all = append(all, wish{subject{"RoundTrip", p.String(), small, 1, 1}, ratioP99, 1.5})
	}
	for _, p := range paths {
		all = append(all, wish{subject{"Rate", p.String(), flowsSize, flowsCredit, 1000}, ratioOfTen, 0.9})
	}
	return all
}
