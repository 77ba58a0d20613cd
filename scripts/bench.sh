#!/usr/bin/env bash
# Measures the gateway beside bare relays: what the bench targets do once
# everything is there.
#   scripts/bench.sh run      measures into bin/bench/results.{txt,md,svg};
#                             BENCH=short measures less, in three minutes
#   scripts/bench.sh compare  says what got slower than bench/results.txt, which
#                             is committed; measures if nothing has been yet
#   scripts/bench.sh accept   puts what was measured there and into docs/
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env-test.sh"
cd "$root"

out=bin/bench/results
committed=bench/results.txt

bench() { bin/bench/bench "$@"; }

# chart RESULTS SVG
chart() { bench panels "$1" | bin/bench/chart "$root/$2"; }

# A run would disturb itself if it compiled in between.
build() {
  mkdir -p bin/bench
  go build -o bin/bench/bench ./bench
  (cd bench/chart && go build -o "$root/bin/bench/chart" .)
}

run() {
  local flags=()
  case ${BENCH-} in
  "" | full) ;;
  short) flags=(--short) ;;
  *) echo "bench: BENCH is \"$BENCH\", want short, full or nothing" >&2 && exit 2 ;;
  esac
  ulimit -n "$(ulimit -Hn)" # every idle flow takes descriptors
  bench run "${flags[@]}" $out.txt
  bench table $out.txt >$out.md
  chart $out.txt $out.svg
  cat $out.md
  echo
  echo "bench: $out.txt (for benchstat), $out.md and $out.svg"
}

compare() {
  [[ -e $out.txt ]] || run
  echo "ratios gateway / baseline, committed and now:"
  benchstat -filter '/by:gateway .unit:/^ratio/' committed=$committed now=$out.txt
  echo
  bench compare $committed $out.txt
}

accept() {
  [[ -e $out.txt ]] || { echo "bench: nothing to accept; make bench first" >&2 && exit 2; }
  cp $out.txt $committed
  bench table --into docs/performance.md $committed
  chart $committed docs/performance.svg
  echo "bench: $committed, docs/performance.md and docs/performance.svg are those of the last run; commit them"
}

build
case ${1-} in
run | compare | accept) "$1" ;;
*) sed -n '2,/^set/ { /^#/ s/^# \?//p }' "$0" && exit 2 ;;
esac
