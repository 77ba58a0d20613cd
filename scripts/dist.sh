#!/usr/bin/env bash
# Packs what users install, into dist/ or the folder that DIST names:
#   scripts/dist.sh [python|node|gateway|protos]...
# and all if none is named: zioflow for Python and for Node, zioflow-gateway, which are
# wheels with the program for each system, and the contract with all that it imports.
# The same commit packs the same bytes. Needs scripts/setup.sh dist.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env.sh"
cd "$root"

dist=${DIST:-$root/dist}
# What is packed is as old as the last commit; without one, as the version's file says.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y internal/version/VERSION)}
export SOURCE_DATE_EPOCH
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$dist"

# hatchling is here in the version that is pinned, so that nothing is fetched.
build() { .deps/python/bin/python -m build --no-isolation "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2 && return 1; }; }

# What setup.sh installs are the tools that look at the result.
check() {
  .deps/dist/bin/twine check --strict "$@" >"$work/log" || { cat "$work/log" >&2 && return 1; }
  local file
  for file; do
    [[ $file != *.whl ]] || .deps/dist/bin/check-wheel-contents "$file" >"$work/log" || { cat "$work/log" >&2 && return 1; }
  done
}

# dist_python: the sdist, and the wheel from it, which shows that it has everything.
dist_python() {
  build --outdir "$work/python" clients/python
  check "$work"/python/*
  mv "$work"/python/* "$dist"
}

dist_node() {
  npm pack ./clients/node --pack-destination "$dist" --loglevel=error >/dev/null
}

# dist_gateway: without paths of this machine, and without what only a debugger reads.
dist_gateway() {
  GOFLAGS="-trimpath -ldflags=-s" CROSS=$work/bin scripts/cross.sh program >/dev/null
  local program target
  for program in "$work"/bin/gateway-*; do
    target=${program##*/gateway-}
    ZIO_GATEWAY_BINARY=$program ZIO_GATEWAY_TARGET=${target%.exe} build --wheel --outdir "$work/gateway" deploy/python
  done
  check "$work"/gateway/*
  mv "$work"/gateway/* "$dist"
}

# dist_protos: a folder from which every protoc finds all imports.
dist_protos() {
  buf export . --output "$work/protos"
  tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --mode=u=rwX,go=rX -cf - protos | gzip -9n >"$work/protos.tar.gz"
  mv "$work/protos.tar.gz" "$dist"
}

(($#)) || set -- python node gateway protos
for part in "$@"; do
  case $part in
  python | node | gateway | protos) "dist_$part" ;;
  *) sed -n '2,/^set/ { /^#/ s/^# \?//p }' "$0" && exit 2 ;;
  esac
done
(cd "$dist" && ls -l)
