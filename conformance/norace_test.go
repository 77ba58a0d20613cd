//go:build !race

package conformance_test

// raceDetector: see race_test.go.
const raceDetector = false
