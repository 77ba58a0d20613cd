//go:build !race

package zmqbridge_test

const raceDetector = false
