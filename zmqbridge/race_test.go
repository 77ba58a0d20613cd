//go:build race

package zmqbridge_test

// raceDetector: it has pools forget at random, so that they allocate.
const raceDetector = true
