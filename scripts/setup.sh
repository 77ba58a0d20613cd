#!/usr/bin/env bash
# Makes a bare Debian or Ubuntu machine ready:
#   scripts/setup.sh [build|gen|test|bench|lint|python|node]...
# build (the default) is what the gateway itself needs: a C++ compiler, Go and
# libzmq. gen, test, bench and lint are what those make targets need; python is the
# virtual environment in .deps/python, node the peers in conformance/node.
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

# go_works: from 1.21 on, Go fetches the version that go.mod asks for.
go_works() {
  local version
  version=$(go env GOVERSION 2>/dev/null) &&
    [[ $(printf '%s\n' "${version#go}" 1.21 | sort -V | head -n 1) == 1.21 ]]
}

setup_go() {
  local release=()
  go_works && return
  if command -v apt-get >/dev/null; then
    apt_update
    # Debian has a newer Go in backports, where that source is switched on.
    if apt-cache madison golang-go | grep -q -- '-backports/'; then
      # shellcheck disable=SC1091 # only there at run time
      release=(-t "$(. /etc/os-release && echo "$VERSION_CODENAME")-backports")
    fi
    if [[ $(apt-cache "${release[@]}" policy golang-go) =~ Candidate:\ ([0-9]+:)?1\.(2[1-9]|[3-9][0-9]) ]]; then
      echo "setup: installing golang-go"
      apt_install "${release[@]}" golang-go
      go_works && return
    fi
  fi
  go env GOVERSION || true # says what is wrong
  die "no usable Go, and no package that has one. Please install Go 1.21 or later" \
    "(go.mod names the version that it then fetches by itself) and put it on PATH"
}

setup_build() {
  want g++ command -v c++
  want make command -v make
  want git command -v git
  want pkg-config command -v pkg-config
  want ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
  if command -v apt-get >/dev/null; then # elsewhere libzmq.sh builds nothing
    want cmake command -v cmake
    want ninja-build command -v ninja
    want dpkg-dev command -v dpkg-source
    want libsodium-dev archive libsodium.a
  fi
  install_missing
  setup_go
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

setup_node() {
  local dir=conformance/node stamp
  stamp=$(sha256sum <$dir/package-lock.json)
  [[ $(cat $dir/node_modules/.stamp 2>/dev/null) == "$stamp" ]] && return

  want nodejs command -v node
  want npm command -v npm
  install_missing
  echo "setup: Node packages into $dir"
  # The package brings its binaries; its install script would only compile.
  npm --prefix $dir ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  echo "$stamp" >$dir/node_modules/.stamp
}

setup_gen() {
  setup_build
  setup_python
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

# setup_proxies: what stands between some of the tests' peers and the gateway.
setup_proxies() {
  local name
  for name in haproxy nginx; do
    PATH=$PATH:/usr/sbin command -v "$name" >/dev/null && continue
    want "$name" false
    install_missing
    # The package starts a service; the tests run their own.
    [[ ! -d /run/systemd/system ]] || as_root systemctl disable -q --now "$name"
  done
}

setup_test() {
  setup_gen
  setup_node
  setup_prometheus
  setup_proxies
  scripts/tools.sh gotestsum grpcurl
}

setup_bench() {
  setup_build
  scripts/tools.sh benchstat
}

setup_lint() {
  setup_build
  want shellcheck command -v shellcheck
  install_missing
  scripts/tools.sh golangci-lint buf
}

(($#)) || set -- build
for part in "$@"; do
  case $part in
  build | gen | test | bench | lint | python | node) "setup_$part" ;;
  *) sed -n '2,/^set/ { /^#/ s/^# \?//p }' "$0" && exit 2 ;;
  esac
done
