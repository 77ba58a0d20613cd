#!/usr/bin/env bash
# Measures the gateway beside bare relays: what the bench targets do once
# everything is there.
#   scripts/bench.sh run      measures into bin/bench/results.{txt,md,svg}
#   scripts/bench.sh compare  says what got slower than bench/results.txt, which
#                             is committed; measures if nothing has been yet
#   scripts/bench.sh accept   puts what was measured there and into docs/
# Environment:
#   BENCH=short               measures less, in four minutes
#   BENCH_ONLY=PART,...       measures only these parts: rates, credits, trips,
#                             flows, dealer, curve, idle, openings, beside; what
#                             is accepted then takes only its own place
#   BENCH_PATHS=PATH,...      measures only these paths, such as raw-raw
#   BENCH_GATEWAY=FILE        measures this program, not the source's
#   BENCH_GATEWAY_FLAGS=...   further flags for it, separated by spaces
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env-test.sh"
cd "$root"

out=bin/bench/results
committed=bench/results.txt

bench() { bin/bench/bench "$@"; }

# chart RESULTS SVG
chart() { bench panels "$1" | bin/bench/chart "$root/$2"; }

# partial RESULTS: whether these are of some parts only.
partial() { grep -q '^only: ' "$1"; }

# A run would disturb itself if it compiled in between.
build() {
  mkdir -p bin/bench
  go build -o bin/bench/bench ./bench
  (cd bench/chart && go build -o "$root/bin/bench/chart" .)
}

run() {
  local flags=() flag
  case ${BENCH-} in
  "" | full) ;;
  short) flags=(--short) ;;
  *) echo "bench: BENCH is \"$BENCH\", want short, full or nothing" >&2 && exit 2 ;;
  esac
  [[ -z ${BENCH_ONLY-} ]] || flags+=(--only="$BENCH_ONLY")
  [[ -z ${BENCH_PATHS-} ]] || flags+=(--paths="$BENCH_PATHS")
  [[ -z ${BENCH_GATEWAY-} ]] || flags+=(--gateway="$BENCH_GATEWAY")
  for flag in ${BENCH_GATEWAY_FLAGS-}; do flags+=(--gateway-flags="$flag"); done
  # Every idle flow takes descriptors; only root may have more than the limit.
  ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
  bench run "${flags[@]}" $out.txt
  bench table $out.txt >$out.md
  rm -f $out.svg
  partial $out.txt || chart $out.txt $out.svg
  cat $out.md
  echo
  echo "bench: $out.txt (for benchstat) and $out.md$([[ ! -e $out.svg ]] || echo ", the chart is $out.svg")"
}

compare() {
  [[ -e $out.txt ]] || run
  if partial $out.txt; then
    bench compare --all $committed $out.txt
    return
  fi
  echo "ratios gateway / baseline, committed and now:"
  # One table, whenever and with whichever Go they were measured.
  benchstat -table goos,goarch -filter '/by:gateway .unit:/^ratio/' committed=$committed now=$out.txt
  echo
  bench compare $committed $out.txt
}

accept() {
  [[ -e $out.txt ]] || { echo "bench: nothing to accept; make bench first" >&2 && exit 2; }
  if partial $out.txt; then
    bench merge $committed $out.txt $committed
  else
    cp $out.txt $committed
  fi
  bench table --into docs/performance.md $committed
  chart $committed docs/performance.svg
  echo "bench: $committed, docs/performance.md and docs/performance.svg have those of the last run; commit them"
}

build
case ${1-} in
run | compare | accept) "$1" ;;
*) sed -n '2,/^set/ { /^#/ s/^# \?//p }' "$0" && exit 2 ;;
esac
