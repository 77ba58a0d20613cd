#!/usr/bin/env bash
# Packs what users install, into dist/ or the folder that DIST names:
#   scripts/dist.sh [python|node|gateway|protos|archives|packages|image|chart]...
# and all if none is named: zioflow for Python and for Node; zioflow-gateway, which are
# wheels with the program for each system; the contract with all that it imports; the
# program for each system as an archive, with what it is made of beside it (CycloneDX);
# .deb and .rpm; the image for containers; and the chart for Helm. SHA256SUMS is of all in the folder.
# The same commit packs the same bytes. Needs scripts/setup.sh dist.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env.sh"
cd "$root"

dist=${DIST:-$root/dist}
version=$(cat internal/version/VERSION)
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

# programs: the program for each system, into $work/bin, once: without paths of this
# machine, and without what only a debugger reads.
programs() {
  [[ -d $work/bin ]] || GOFLAGS="-trimpath -ldflags=-s" CROSS=$work/bin scripts/cross.sh program >/dev/null
}

# linux_targets: those of the programs for Linux.
linux_targets() {
  programs
  local program
  for program in "$work"/bin/gateway-linux-*; do
    echo "${program##*/gateway-linux-}"
  done
}

dist_gateway() {
  programs
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
  bytes_of protos | gzip -9n >"$work/protos.tar.gz"
  mv "$work/protos.tar.gz" "$dist"
}

# bytes_of FOLDER...: what is in $work as a tar, the same for everybody.
bytes_of() {
  tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --mode=u=rwX,go=rX -cf - "$@"
}

# sbom PROGRAM: says what it is made of. Who builds it, when and where does not matter, so
# neither time nor number is in there.
sbom() {
  cyclonedx-gomod bin -json -noserial -notimestamp -version "v$version" -output "$work/sbom" "$1" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2 && return 1; }
  cat "$work/sbom"
}

# dist_archives: a folder for each system with the program, the units and the README.
dist_archives() {
  programs
  local program target name suffix
  for program in "$work"/bin/gateway-*; do
    target=${program##*/gateway-} suffix=
    [[ $target != *.exe ]] || suffix=.exe
    name=zio-gateway-$version-${target%.exe}
    mkdir "$work/$name"
    install -m 0755 "$program" "$work/$name/gateway$suffix"
    sbom "$program" >"$work/$name/sbom.cdx.json"
    cp README.md "$work/$name"
    [[ $target != linux-* ]] || cp deploy/zio-gateway.{service,socket} "$work/$name"
    cp "$work/$name/sbom.cdx.json" "$dist/$name.cdx.json"
    bytes_of "$name" | gzip -9n >"$work/$name.tar.gz"
    mv "$work/$name.tar.gz" "$dist"
  done
}

# manual: the manual page and what has shells complete, as the program for this system prints
# them, into $work/manual. The page is as old as what is packed.
manual() {
  local program shell
  program=$work/bin/gateway-$(go env GOHOSTOS)-$(go env GOHOSTARCH)
  [[ -x $program ]] || { program=$work/host && go build -o "$program" ./cmd/gateway; }
  mkdir "$work/manual"
  env -i "$program" man | sed "1s/\"[0-9-]*\"/\"$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)\"/" | gzip -9n >"$work/manual/gateway.1.gz"
  for shell in bash zsh fish; do
    env -i "$program" completion "$shell" >"$work/manual/$shell"
  done
}

# dist_packages: .deb and .rpm, whose service is that of deploy/ but for the folder.
dist_packages() {
  local arch packager
  programs
  manual
  sed 's,/usr/local/bin/gateway,/usr/bin/gateway,' deploy/zio-gateway.service >"$work/unit"
  for arch in $(linux_targets); do
    sbom "$work/bin/gateway-linux-$arch" >"$work/sbom-$arch"
    for packager in deb rpm; do
      GOARCH=$arch VERSION=$version PROGRAM=$work/bin/gateway-linux-$arch UNIT=$work/unit MANUAL=$work/manual SBOM=$work/sbom-$arch \
        nfpm package --config deploy/packages/nfpm.yaml --packager "$packager" --target "$dist" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2 && return 1; }
    done
  done
}

# dist_image: an image for each architecture, as docker and podman load it. The
# authorities are those of a package that is pinned, not this machine's.
dist_image() {
  local arch name certificates
  certificates=$(.deps/dist/bin/python -c 'import certifi; print(certifi.where())')
  for arch in $(linux_targets); do
    name=zio-gateway-$version-image-$arch
    image -program "$work/bin/gateway-linux-$arch" -arch "$arch" -certificates "$certificates" \
      -name "zio-gateway:$version" -created "$SOURCE_DATE_EPOCH" "$work/image-$arch"
    bytes_of -C "$work/image-$arch" . >"$work/$name.tar"
    mv "$work/$name.tar" "$dist"
  done
}

# dist_chart: the chart, packed again, as helm says in it when it did so.
dist_chart() {
  local name=zio-gateway-$version.tgz
  helm package deploy/helm/zio-gateway --version "$version" --app-version "$version" --destination "$work/helm" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2 && return 1; }
  mkdir "$work/chart"
  tar -xzmf "$work/helm/$name" -C "$work/chart"
  bytes_of -C "$work/chart" zio-gateway | gzip -9n >"$work/$name"
  mv "$work/$name" "$dist"
}

(($#)) || set -- python node gateway protos archives packages image chart
for part in "$@"; do
  case $part in
  python | node | gateway | protos | archives | packages | image | chart) "dist_$part" ;;
  *) sed -n '2,/^set/ { /^#/ s/^# \?//p }' "$0" && exit 2 ;;
  esac
done
(cd "$dist" && rm -f SHA256SUMS && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS && ls -l)
