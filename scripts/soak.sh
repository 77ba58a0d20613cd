#!/usr/bin/env bash
# Runs the soak programs: all of them, or those that -run names. Arguments go to
# go test. SOAK_SCALE and SOAK_SEED: see soak/doc.go.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env-test.sh"
cd "$root"

# Thousands of peers, each with a descriptor on both ends.
ulimit -n "$(ulimit -Hn)"

go test -tags soak,libzmq -count 1 -timeout 90m -v "$@" ./soak
