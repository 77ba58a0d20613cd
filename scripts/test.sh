#!/usr/bin/env bash
# Runs all tests: what `make test` does once everything is there. Goes on after
# a failure, and fails in the end.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env-test.sh"
cd "$root"

# Test programs without DWARF are linked in two thirds of the time; those with the race
# detector would sleep for a second before they end.
export GORACE=atexit_sleep_ms=50
go_test() {
  gotestsum --format pkgname --format-hide-empty-pkg -- -ldflags=-w -timeout 15m "$@" || status=1
}

status=0

echo "== generated code"
scripts/gen.sh --check || status=1

echo "== Go"
go_test -race ./...

echo "== Go, the benchmarks' chart"
(cd bench/chart && go test ./...) || status=1

# Too slow with the race detector: messages of 60 MB through every pairing. And it
# allocates, where a test says that nothing does.
echo "== Go, without the race detector: the largest messages, no allocation"
go_test -run '^(TestPairing|TestBuiltin|TestNoAllocation)' ./conformance ./zmqbridge

# The second engine: what is played in one process. The soak has all of it.
echo "== Go, with libzmq as the ZeroMQ engine"
both='Scripts|Pairing|ForeignPairing|PeerGone|Client|Leaves|Restart|Succession|TooLarge|Malformed|Empty|Native'
both+='|NoHandler|Declined|HandlerTimeout|CID|Stray|Churn|Builtin'
with_libzmq() {
  TEST_ZMQ_ENGINE=libzmq go_test -tags libzmq "$@"
}
with_libzmq -run '^Test(Forms|Curve|Overrun|Excess|Credit|Names?|Address|IPC|TooLarge|Skipped|Stats|Close)' ./zmqbridge ./zmqbridge/libzmq
with_libzmq -short -run "^Test($both)" ./conformance

echo "== Other systems"
# Linux itself is built above.
CROSS_TARGETS="darwin/arm64 windows/amd64" scripts/cross.sh || status=1

if [[ -d clients/python/tests ]]; then
  echo "== Python"
  (cd clients/python && "$root/.deps/python/bin/python" -m pytest -q -n 2 --dist worksteal) || status=1
fi

echo "== Node"
npm --prefix clients/node test --silent || status=1

exit $status
