# shellcheck shell=bash
# Sourced by the scripts beside it, which run as root in mount, process and network
# namespaces of their own: gives them a copy of this machine's files that nobody else
# sees, without its systemd, and goes on in there.
#   in_copy FOLDER SCRIPT ARGUMENT...

in_copy() {
  local folder=$1
  shift
  mount -t tmpfs none "$folder"
  mkdir "$folder"/{up,work,root}
  mount -t overlay -o "lowerdir=/,upperdir=$folder/up,workdir=$folder/work" none "$folder/root"
  mount -t proc none "$folder/root/proc"
  mount --rbind /dev "$folder/root/dev"
  mount -t tmpfs none "$folder/root/run"
  ip link set lo up
  exec chroot "$folder/root" env PATH="$PATH:/usr/sbin:/sbin" INSIDE=1 bash "$@"
}

fail() {
  echo "$0: $*" >&2
  exit 1
}

# serves: the program that is installed, as the unit's user with the unit's command, is
# well and ends in order.
serves() {
  local start pid
  start=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/zio-gateway.service)
  # shellcheck disable=SC2086 # it is a command line
  setpriv --reuid=zio-gateway --regid=zio-gateway --clear-groups $start &
  pid=$!
  for _ in {1..600}; do
    curl -sf http://127.0.0.1:7576/healthz && break
    kill -0 $pid || fail "the gateway ended"
    sleep 0.1
  done
  curl -sf http://127.0.0.1:7576/healthz >/dev/null || fail "the gateway is not well"
  kill -TERM $pid
  wait $pid || fail "the gateway ended with $?"
}

# explained: man finds the page, and each shell completes by what is installed.
explained() {
  local words zsh
  [[ $(man -w gateway) == /usr/share/man/man1/gateway.1.gz ]] || fail "man finds the page at $(man -w gateway)"
  words=$(zcat /usr/share/man/man1/gateway.1.gz | groff -man -Tutf8 -ww -P-cbou)
  [[ $words == *"EXIT STATUS"* && $words == *"routes test"* ]] || fail "the page is $words"
  words=$(bash -c 'source /usr/share/bash-completion/completions/gateway; complete -p gateway')
  [[ $words == "complete -C gateway gateway" || $words == "complete -C 'gateway' gateway" ]] || fail "bash has $words"
  words=$(fish -c 'complete -C "gateway routes t"')
  [[ $words == test* ]] || fail "fish has $words"
  zsh=/usr/share/zsh/vendor-completions # Debian's
  [[ -e $zsh/_gateway ]] || zsh=/usr/share/zsh/site-functions
  words=$(zsh -f -c "fpath=($zsh \$fpath); autoload -U compinit; compinit -u -D; print \$_comps[gateway]")
  [[ $words == _gateway ]] || fail "zsh has $words"
}

# installed: files, their owners and the unit are as they should be.
installed() {
  /usr/bin/gateway --version
  id zio-gateway >/dev/null || fail "there is no user"
  [[ $(stat -c '%U:%G %a' /etc/zio-gateway) == "root:zio-gateway 750" ]] || fail "/etc/zio-gateway is $(stat -c '%U:%G %a' /etc/zio-gateway)"
  [[ $(stat -c '%U:%G %a' /etc/zio-gateway/gateway.yaml) == "root:zio-gateway 640" ]] || fail "gateway.yaml is $(stat -c '%U:%G %a' /etc/zio-gateway/gateway.yaml)"
  explained
  systemd-analyze verify --man=no /usr/lib/systemd/system/zio-gateway.{service,socket} || fail "a unit is not valid"
}
