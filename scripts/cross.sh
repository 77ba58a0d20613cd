#!/usr/bin/env bash
# Builds the gateway for every system that it is meant for, as one static file each,
# into bin/cross or the folder that CROSS names; and shows that what users import compiles
# there, unless this is called with `program`. CROSS_TARGETS names some of the systems alone.
# Needs scripts/setup.sh build.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env.sh"
cd "$root"

export CGO_ENABLED=0 GOGC=400 # the compiler's, as in the Makefile

# What is left out runs on Linux only, and not at users'.
packages=()
[[ ${1-} == program ]] || mapfile -t packages < <(go list -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' ./... | grep -Ev '/(bench|conformance|soak)(/|$)')

for target in ${CROSS_TARGETS:-linux/amd64 linux/arm64 darwin/arm64 windows/amd64}; do
  export GOOS=${target%/*} GOARCH=${target#*/}
  program=${CROSS:-bin/cross}/gateway-$GOOS-$GOARCH
  [[ $GOOS != windows ]] || program+=.exe
  ((${#packages[@]} == 0)) || go build "${packages[@]}"
  go build -o "$program" ./cmd/gateway
  echo "$program"
done
