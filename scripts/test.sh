#!/usr/bin/env bash
# Runs all tests: what `make test` does once everything is there. Goes on after
# a failure, and fails in the end, with the failed tests as its last lines.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The part that runs the tests is this script again: what it prints is kept, for the last
# lines, and signals that whoever started us ignores are not ignored by the programs under
# test, some of which are stopped by Ctrl-C.
if [[ ${1-} != --inner ]]; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if env --default-signal=INT,QUIT "${BASH_SOURCE[0]}" --inner 2>&1 | tee "$log"; then
    exit 0
  fi
  echo "== Failed"
  grep -E '^(=== FAIL: |FAILED |ERROR |not ok |== failed: )' "$log" | grep -v ' (re-run ' | sort -u | tail -n 15 | cut -c 1-200
  exit 1
fi

. "$root/scripts/env-test.sh"
cd "$root"

# Test programs without DWARF are linked in two thirds of the time; those with the race
# detector would sleep for a second before they end.
export GORACE=atexit_sleep_ms=50
go_test() {
  gotestsum --format pkgname --format-hide-empty-pkg -- -ldflags=-w -timeout 15m "$@" || status=1
}
other() {
  "$@" || { status=1 && echo "== failed: $*"; }
}

status=0

echo "== generated code"
other scripts/gen.sh --check

echo "== Go"
# The package that waits most comes first, so that others are compiled and run beside it.
go_test -race ./conformance ./...

echo "== Go, the benchmarks' chart"
other go -C bench/chart test ./...

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
other env CROSS_TARGETS="darwin/arm64 windows/amd64" scripts/cross.sh

if [[ -d clients/python/tests ]]; then
  echo "== Python"
  other env -C clients/python "$root/.deps/python/bin/python" -m pytest -q -n 2 --dist worksteal
fi

echo "== Node"
other npm --prefix clients/node test --silent

exit $status
