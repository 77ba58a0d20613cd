//go:build race

package main_test

// raceDetector: the tests were built with -race, under which large messages
// cost several times as much.
const raceDetector = true
