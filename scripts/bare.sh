#!/usr/bin/env bash
# Follows the README on a bare machine: this one's Debian release with nothing but
# make and git, in a folder that is gone in the end. Clones the last commit into it:
#   scripts/bare.sh run   `make run`, until it serves; says how long that took
#   scripts/bare.sh test  `make test`, which takes its time
# and both if neither is named. Needs root, and debootstrap (scripts/setup.sh soak).
#
# Where that machine finds packages, it has from this one when it runs: apt's mirror,
# proxies and their certificates, the registries of Go, Python and Node.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env.sh"
cd "$root"

die() {
  echo "bare: $*" >&2
  exit 1
}

(($#)) || set -- run test
for part in "$@"; do
  [[ $part == run || $part == test ]] || { sed -n '2,/^set/ { /^#/ s/^# \?//p }' "$0" && exit 2; }
done
((EUID == 0)) || die "needs root, for debootstrap and chroot"
command -v debootstrap >/dev/null || die "needs debootstrap: scripts/setup.sh soak"

# isolated COMMAND...: runs a command with mounts and processes of its own. When the
# first process has ended so have all others, and nothing is mounted any more.
isolated() {
  local status=0
  unshare --mount --pid --fork --kill-child "$@" &
  outside=$!
  wait "$outside" || status=$?
  outside=
  return $status
}

# finish: ends what runs in there, by its first process, which outlives all others.
finish() {
  local first
  if [[ -n ${outside-} ]] && read -r first 2>/dev/null <"/proc/$outside/task/$outside/children"; then
    kill -KILL "$first" || true
    wait "$outside" || true
  fi
  rm -rf --one-file-system "$work"
}

work=$(mktemp -d "${TMPDIR:-/var/tmp}/bare.XXXXXX")
machine=$work/machine
trap finish EXIT
trap 'exit 130' INT TERM HUP # so that finish runs
set -m                       # or what runs in the background is deaf to Ctrl-C

# sources: where apt finds this release's packages, as lines of sources.list.
sources() {
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$release" '$1 ~ "^" release "(-updates|-security)?$" && !seen[$0]++ { print "deb " $3 " " $1 " " $2 }'
}

# environment: what the machine needs to know to fetch anything, as VARIABLE=VALUE.
environment() {
  local name value
  for name in {http,https,ftp,no,all}_proxy {HTTP,HTTPS,FTP,NO,ALL}_PROXY; do
    [[ -z ${!name-} ]] || echo "$name=${!name}"
  done
  for name in GOPROXY GOSUMDB GONOSUMDB GONOPROXY GOPRIVATE GOINSECURE; do
    value=$(go env $name)
    [[ -z $value ]] || echo "$name=$value"
  done
  value=${PIP_INDEX_URL-$(pip config get global.index-url 2>/dev/null || true)}
  [[ -z $value ]] || echo "PIP_INDEX_URL=$value"
  value=${npm_config_registry-$(npm config get registry 2>/dev/null || true)}
  [[ -z $value || $value == undefined ]] || echo "npm_config_registry=$value"
  if compgen -G "$authorities/*.crt" >/dev/null; then # which pip and npm do not look for
    echo "PIP_CERT=$bundle"
    echo "NODE_EXTRA_CA_CERTS=$bundle"
  fi
}

# build: makes the machine.
build() {
  local mirror include=make,git
  # shellcheck disable=SC1091 # only there at run time
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  authorities=/usr/local/share/ca-certificates
  bundle=/etc/ssl/certs/ca-certificates.crt
  mirror=$(sources | awk -v release="$release" '$3 == release { print $2; exit }')
  [[ -n $mirror ]] || die "apt has no packages of $release"
  [[ $mirror != https:* ]] || include+=,ca-certificates # or there would be no way to it
  echo "bare: making a machine with $release"
  isolated debootstrap --variant=minbase --include=$include "$release" "$machine" "$mirror" >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2 && die "debootstrap failed"; }
  sources >"$machine/etc/apt/sources.list"
  apt-config dump Acquire | grep -E '^Acquire::https?::' >"$machine/etc/apt/apt.conf.d/99machine" || true
  cp -L /etc/resolv.conf /etc/hosts "$machine/etc"
  if compgen -G "$authorities/*.crt" >/dev/null; then
    mkdir -p "$machine/$authorities"
    cp "$authorities"/*.crt "$machine/$authorities"
  fi
  [[ -z $(git status --porcelain) ]] || echo "bare: what is not committed is not tried"
  git clone -q --bare . "$machine/srv/gateway.git"
  environment >"$work/environment"
}

# on_machine SCRIPT: runs a script there, by bash, with nothing of this environment.
on_machine() {
  local variables
  mapfile -t variables <"$work/environment"
  {
    echo "set -euo pipefail; cd /root"
    cat
  } >"$machine/root/script"
  # shellcheck disable=SC2016 # for the shell that is started
  isolated bash -euc 'mount -t proc proc "$1/proc"; exec chroot "$@"' bash "$machine" \
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb \
    "${variables[@]}" bash /root/script
}

# At other ports than the usual ones, where a gateway may be running.
try_run() {
  on_machine <<'SCRIPT'
set -m # so that make has a process group, as at a terminal
export ZIO_GATEWAY_{ZMQ_SERVER,ZMQ_ROUTER}=tcp://127.0.0.1:0 ZIO_GATEWAY_{GRPC,HTTP}=127.0.0.1:0
begin=${EPOCHREALTIME/./}
git clone -q /srv/gateway.git gateway
cd gateway
: >../log
make run >>../log 2>&1 &
until grep -q 'goes on serving' ../log; do
  if ! kill -0 $! 2>/dev/null || ((${EPOCHREALTIME/./} - begin > 900000000)); then
    cat ../log >&2
    echo "bare: make run does not serve" >&2
    exit 1
  fi
  sleep 0.1
done
end=${EPOCHREALTIME/./}
grep -E '^(setup|ready|zmq-|grpc)' ../log
echo "bare: make run: $(((end - begin) / 1000000)) s from clone to data moving"

kill -INT -- -$! # Ctrl-C
wait $! || true  # make says that it was interrupted
for name in /proc/[0-9]*/comm; do
  if [[ $(cat "$name" 2>/dev/null) == gateway ]]; then
    echo "bare: Ctrl-C has not ended the gateway" >&2
    exit 1
  fi
done
SCRIPT
}

try_test() {
  on_machine <<'SCRIPT'
[[ -d gateway ]] || git clone -q /srv/gateway.git gateway
cd gateway
SECONDS=0
if ! make test >../log 2>&1; then
  cat ../log >&2
  echo "bare: make test fails" >&2
  exit 1
fi
echo "bare: make test: $SECONDS s"
SCRIPT
}

build
for part in "$@"; do
  "try_$part"
done
