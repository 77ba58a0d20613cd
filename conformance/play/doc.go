// Package play plays the conformance scripts against a broker of which nothing is known
// but its network addresses: the gateway in the tests, and any other with `go run
// ./conformance`. What is asked of that broker stands in docs/conformance-player.md.
package play
