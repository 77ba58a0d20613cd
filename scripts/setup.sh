#!/usr/bin/env bash
# Makes a bare Debian or Ubuntu machine ready:
#   scripts/setup.sh [build|libzmq|gen|test|soak|bench|lint|dist|python|node|java|cpp|languages]...
# build (the default) is what the gateway itself needs, which is Go alone. libzmq is
# what its tests need besides: a C++ compiler and libzmq, for real ZeroMQ peers. gen,
# test, soak, bench, lint and dist are what those make targets need; python is the virtual
# environment in .deps/python, node the packages in conformance/node and clients/node,
# java a peer that only the soak needs, and cpp what another one there is built with;
# languages has the compilers for docs/languages.md.
# Installs only what is missing; does nothing, at once, when nothing is.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env.sh"
cd "$root"

die() {
  echo "setup: $*" >&2
  exit 1
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root, and there is no sudo: $*"
  fi
}

missing=()
# want PACKAGE COMMAND...: PACKAGE is missing unless COMMAND succeeds.
want() { "${@:2}" >/dev/null 2>&1 || missing+=("$1"); }
# archive FILE: whether the linker finds FILE.
archive() { [[ $(cc -print-file-name="$1") == /* ]]; }

apt_update() {
  [[ -z ${apt_updated-} ]] || return 0
  as_root apt-get -q update >/dev/null
  apt_updated=1
}

# apt_install [OPTION|PACKAGE]...
apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q install -y --no-install-recommends "$@" >/dev/null
}

# install_missing: installs what `want` has found missing.
install_missing() {
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null ||
    die "this is not Debian or Ubuntu; please install what is there called: ${missing[*]}"
  echo "setup: installing ${missing[*]}"
  apt_update
  apt_install "${missing[@]}"
  missing=()
}

# go_version least|best: the oldest Go that go.mod is content with, or that which it
# would rather have.
go_version() {
  awk -v which="$1" '$1 == "go" { least = best = $2 } $1 == "toolchain" { best = substr($2, 3) }
    END { print which == "least" ? least : best }' go.mod
}

# go_works: whether there is a Go that go.mod is content with. From 1.21 on, an older
# one fetches that by itself.
go_works() {
  local version least
  version=$(go env GOVERSION 2>/dev/null) && least=$(go_version least) &&
    [[ $(printf '%s\n' "${version#go}" "$least" | sort -V | head -n 1) == "$least" ]]
}

# unpack_go FILE: unpacks a file of Debian's package of Go, which is in $GOROOT, to
# there. What stands near the package's begin takes no time: the rest is never read,
# which dpkg-deb takes for a failure.
unpack_go() {
  dpkg-deb --fsys-tarfile "$GOROOT"/*.deb 2>/dev/null |
    tar -x -C "$GOROOT" --strip-components=4 --wildcards --occurrence=1 "./usr/lib/go-*/$1" 2>/dev/null || true
}

# go_command: puts the go command alone into $GOROOT, from Debian's package of Go, of
# whatever version that is. To install all of it would take longer than all else here.
go_command() {
  local package
  command -v apt-get >/dev/null || die "there is no Go; please install Go $(go_version least) or later"
  apt_update
  package=$(apt-cache depends golang-go | awk '$1 == "Depends:" && $2 ~ /^golang-[0-9.]+-go$/ { print $2 }')
  (cd "$GOROOT" && apt-get -q download -o APT::Sandbox::User="$(id -un)" "$package" >/dev/null)
  unpack_go bin/go
  # From 1.21 on, this file and not the command knows where modules are.
  [[ -n $("$GOROOT/bin/go" env GOPROXY) ]] || unpack_go go.env
}

# fetch_go: puts the Go that go.mod asks for into .deps/go. An older go command need
# not be able to build anything: it downloads a toolchain as a module like any other,
# and checks its sum.
fetch_go() {
  local temporary=.deps/go.tmp module
  echo "setup: fetching Go $(go_version best) into .deps/go"
  mkdir -p .deps
  exec 8>.deps/go.lock
  flock 8
  rm -rf $temporary # left by a run that was killed
  mkdir -p $temporary/old
  if ! command -v go >/dev/null; then
    export GOROOT=$root/$temporary/old
    go_command
    PATH=$GOROOT/bin:$PATH
  fi
  module=golang.org/toolchain@v0.0.1-go$(go_version best).$(go env GOOS)-$(go env GOARCH)
  # Elsewhere than here, as an old Go does not understand our go.mod.
  (cd / && GO111MODULE=on GOFLAGS=-modcacherw GOMODCACHE=$root/$temporary go mod download "$module") ||
    die "Go could not be fetched"
  unset GOROOT
  # A module's files cannot be executable.
  chmod +x "$temporary/$module"/{bin,pkg/tool/*}/*
  rm -rf .deps/go
  mv "$temporary/$module" .deps/go
  rm -rf $temporary
  exec 8>&-
  hash -r # forget where go was found before
}

setup_build() {
  want make command -v make
  want git command -v git
  want ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
  install_missing
  go_works && return
  fetch_go
  go_works || die "the Go that was fetched does not run"
}

setup_libzmq() {
  setup_build
  want g++ command -v c++
  want pkg-config command -v pkg-config
  if command -v apt-get >/dev/null; then # elsewhere libzmq.sh builds nothing
    want cmake command -v cmake
    want ninja-build command -v ninja
    want dpkg-dev command -v dpkg-source
    want libsodium-dev archive libsodium.a
  fi
  install_missing
  scripts/libzmq.sh
}

setup_python() {
  local venv=.deps/python stamp
  local files=(clients/python/requirements-dev.txt)
  [[ ! -f clients/python/pyproject.toml ]] || files+=(clients/python/pyproject.toml)
  # pip's scripts name the folder in which they were installed.
  stamp=$(echo "$root" | cat - "${files[@]}" | sha256sum)
  [[ -x $venv/bin/python && $(cat "$venv/.stamp" 2>/dev/null) == "$stamp" ]] && return

  want python3 command -v python3
  want python3-venv python3 -c 'import ensurepip'
  install_missing
  echo "setup: Python packages into $venv"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "${files[0]}"
  if ((${#files[@]} > 1)); then
    "$venv/bin/pip" install -q --disable-pip-version-check -e clients/python
  fi
  echo "$stamp" >"$venv/.stamp"
}

# setup_node: the packages of the conformance tests' peers, and of the client for Node; or of
# one of them.
setup_node() {
  local dir stamp dirs=("$@")
  ((${#dirs[@]})) || dirs=(conformance/node clients/node)
  for dir in "${dirs[@]}"; do
    stamp=$(sha256sum <"$dir"/package-lock.json)
    [[ $(cat "$dir"/node_modules/.stamp 2>/dev/null) == "$stamp" ]] && continue

    want nodejs command -v node
    want npm command -v npm
    install_missing
    echo "setup: Node packages into $dir"
    # The packages bring their binaries; install scripts would only compile.
    npm --prefix "$dir" ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
    echo "$stamp" >"$dir"/node_modules/.stamp
  done
}

# setup_java: the peer in conformance/peers/java, and JeroMQ, into .deps/java.
setup_java() {
  local dir=conformance/peers/java dest=.deps/java stamp
  stamp=$(cat $dir/pom.xml $dir/Peer.java | sha256sum)
  [[ $(cat $dest/.stamp 2>/dev/null) == "$stamp" ]] && return

  want default-jdk-headless command -v javac
  want maven command -v mvn
  install_missing
  echo "setup: JeroMQ into $dest"
  rm -rf $dest
  mvn -q -B -f $dir/pom.xml dependency:copy-dependencies "-DoutputDirectory=$root/$dest" -DincludeScope=runtime
  javac -d $dest/classes -cp "$dest/*" $dir/Peer.java
  echo "$stamp" >$dest/.stamp
}

setup_gen() {
  setup_build
  setup_python
  setup_node clients/node
  scripts/tools.sh protoc-gen-go protoc-gen-go-grpc
}

# setup_prometheus: what checks the alert rules and the dashboard.
setup_prometheus() {
  want curl command -v curl
  if ! command -v promtool >/dev/null; then
    want prometheus false
    install_missing
    # The package starts a service; the tests run their own.
    [[ ! -d /run/systemd/system ]] || as_root systemctl disable -q --now prometheus
  fi
  install_missing
}

# setup_hosts: what makes hosts of their own for the tests of discovery.
setup_hosts() {
  want iproute2 command -v ip
  install_missing
}

# setup_proxies: what stands between some of the tests' peers and the gateway.
setup_proxies() {
  local name package
  for name in haproxy nginx caddy nghttpx; do
    PATH=$PATH:/usr/sbin command -v "$name" >/dev/null && continue
    package=${name/nghttpx/nghttp2-proxy}
    want "$package" false
    install_missing
    # The package starts a service; the tests run their own.
    [[ ! -d /run/systemd/system ]] || as_root systemctl disable -q --now "$name"
  done
  want libnginx-mod-stream test -e /usr/lib/nginx/modules/ngx_stream_module.so
  install_missing
}

# setup_terminals: what the commands are used from, in their tests, and what shows their
# manual page.
setup_terminals() {
  want tmux command -v tmux
  want zsh command -v zsh
  want fish command -v fish
  want groff-base command -v groff
  install_missing
}

setup_test() {
  setup_libzmq
  setup_gen
  setup_node
  (cd conformance/peers/go && go mod download)
  setup_prometheus
  setup_proxies
  setup_hosts
  setup_terminals
  scripts/tools.sh gotestsum grpcurl
}

# setup_cpp: what C++ programs need that have nothing but the contract.
setup_cpp() {
  want g++ command -v c++
  want pkg-config command -v pkg-config
  want protobuf-compiler command -v protoc
  want protobuf-compiler-grpc command -v grpc_cpp_plugin
  want libprotobuf-dev pkg-config --exists protobuf
  want libgrpc++-dev pkg-config --exists grpc++
  want libssl-dev pkg-config --exists libcrypto
  install_missing
}

# rust_works: whether there is a Rust that the crates of docs/languages.md are content with.
rust_works() {
  local version
  version=$(cargo --version 2>/dev/null) && version=${version#cargo } &&
    [[ $(printf '%s\n' "${version%% *}" 1.88 | sort -V | head -n 1) == 1.88 ]]
}

# setup_languages: what docs/languages.md has its readers install.
setup_languages() {
  setup_cpp
  want default-jdk-headless command -v javac
  want maven command -v mvn
  # Debian keeps a newer Rust beside its own, for browsers.
  rust_works || want cargo-web false
  install_missing
  rust_works || die "the crates of docs/languages.md want Rust 1.88 or later; please install it"
}

# setup_soak: what the tests need, two more peers, the packages, other languages, and what
# makes a bare machine to try the set-up on.
setup_soak() {
  setup_test
  setup_java
  setup_cpp
  setup_python_draft
  setup_dist
  setup_languages
  want debootstrap command -v debootstrap
  install_missing
}

setup_bench() {
  setup_libzmq
  scripts/tools.sh benchstat
}

# setup_python_draft: a virtual environment in .deps/python-draft whose pyzmq has CLIENT
# sockets, which wheels leave out: it is built with the libzmq of setup_libzmq.
setup_python_draft() {
  local venv=.deps/python-draft file=clients/python/requirements-dev.txt stamp prefix
  stamp=$(echo "$root" | cat - "$file" .deps/libzmq/.stamp | sha256sum)
  [[ -x $venv/bin/python && $(cat "$venv/.stamp" 2>/dev/null) == "$stamp" ]] && return

  want python3-dev python3 -c 'import os, sysconfig; os.stat(sysconfig.get_paths()["include"] + "/Python.h")'
  install_missing
  echo "setup: a pyzmq with drafts into $venv"
  python3 -m venv --clear "$venv"
  prefix=$(PKG_CONFIG_PATH=$root/.deps/libzmq/lib/pkgconfig pkg-config --variable=prefix libzmq)
  # Where the library is a static one, it does not say what it needs itself.
  LDFLAGS="-Wl,--no-as-needed -lstdc++ -lsodium" ZMQ_PREFIX=$prefix ZMQ_DRAFT_API=1 \
    "$venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir --no-binary pyzmq -r "$file"
  echo "$stamp" >"$venv/.stamp"
}

# setup_python_lint: the virtual environment in .deps/python-lint.
setup_python_lint() {
  local venv=.deps/python-lint stamp
  local files=(clients/python/requirements-dev.txt clients/python/requirements-lint.txt)
  stamp=$(echo "$root" | cat - "${files[@]}" | sha256sum)
  [[ -x $venv/bin/python && $(cat "$venv/.stamp" 2>/dev/null) == "$stamp" ]] && return

  want python3 command -v python3
  want python3-venv python3 -c 'import ensurepip'
  install_missing
  echo "setup: Python's linters into $venv"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "${files[0]}" -r "${files[1]}"
  echo "$stamp" >"$venv/.stamp"
}

setup_lint() {
  setup_libzmq
  setup_python_lint
  want shellcheck command -v shellcheck
  install_missing
  scripts/tools.sh golangci-lint buf
}

# setup_dist: what packs the packages, and .deps/dist, which has what looks at them.
setup_dist() {
  local venv=.deps/dist stamp
  setup_build
  setup_python
  setup_node
  want skopeo command -v skopeo
  want rpm command -v rpm
  install_missing
  scripts/tools.sh buf cyclonedx-gomod helm image manifests nfpm
  stamp=$(echo "$root" | cat - deploy/python/requirements.txt | sha256sum)
  [[ -x $venv/bin/python && $(cat "$venv/.stamp" 2>/dev/null) == "$stamp" ]] && return
  echo "setup: Python packages into $venv"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r deploy/python/requirements.txt
  echo "$stamp" >"$venv/.stamp"
}

(($#)) || set -- build
for part in "$@"; do
  case $part in
  build | libzmq | gen | test | soak | bench | lint | dist | python | node | java | cpp | languages) "setup_$part" ;;
  *) sed -n '2,/^set/ { /^#/ s/^# \?//p }' "$0" && exit 2 ;;
  esac
done
