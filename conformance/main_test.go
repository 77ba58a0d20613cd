// Package main_test drives whole gateways over real sockets, with peers
// of every transport.
package main_test

import (
	"os"
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Payloads of 60 MB: rather collect them often than fault in new memory.
	debug.SetGCPercent(20)
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/zioflow/gateway/conformance_test.beParent"), goleak.Cleanup(func(code int) {
		removeScratch()
		os.Exit(code)
	}))
}
