#!/usr/bin/env bash
# Runs all tests: what `make test` does once everything is there. Goes on after
# a failure, and fails in the end.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env.sh"
cd "$root"

status=0

echo "== generated code"
scripts/gen.sh --check || status=1

echo "== Go"
gotestsum --format pkgname --format-hide-empty-pkg -- -race -timeout 5m ./... || status=1

# Too slow with the race detector: messages of 60 MB through every pairing.
echo "== Go, the benchmarks' chart"
(cd bench/chart && go test ./...) || status=1

echo "== Go, the largest messages"
gotestsum --format pkgname --format-hide-empty-pkg -- -timeout 5m -run '^TestPairing' ./conformance || status=1

if [[ -d clients/python/tests ]]; then
  echo "== Python"
  (cd clients/python && "$root/.deps/python/bin/python" -m pytest -q) || status=1
fi

exit $status
