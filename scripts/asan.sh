#!/usr/bin/env bash
# Runs the ZeroMQ bridge's tests with the address sanitizer, which watches both
# Go's use of libzmq's memory and the C code's: nothing is used after it was given
# back, beyond its end, or never given back. Arguments go to go test:
#   scripts/asan.sh -run FuzzOpen -fuzz FuzzOpen -fuzztime 10m
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env-test.sh"
cd "$root"

go test -asan -count 1 -timeout 15m "$@" ./zmqbridge
