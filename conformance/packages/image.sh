#!/usr/bin/env bash
# Runs the root of an image as a container would, with its environment:
#   unshare --mount --pid --net --fork image.sh ROOT GATEWAY VARIABLE=VALUE...
# First without keys, which it refuses, then with those that GATEWAY makes.
set -euo pipefail
# shellcheck source=packages/root.sh
. "$(dirname "$0")/root.sh"
root=$1 gateway=$2
shift 2
ip link set lo up
within=(/usr/sbin/chroot --userspec=65532:65532 "$root" /usr/local/bin/gateway serve)

! env -i "$@" "${within[@]}" 2>"$root/refused" || fail "it serves without identities"
grep -q "/etc/zio-gateway/identities.yaml" "$root/refused" || fail "without identities it says $(cat "$root/refused")"
cat "$root/refused"

mkdir -p "$root/etc/zio-gateway"
keys=$root/etc/zio-gateway/
rmdir "$keys"
"$gateway" keygen server "$keys" >/dev/null
echo identities: >"$keys/identities.yaml"
"$gateway" keygen identity "$keys" alice --role client >>"$keys/identities.yaml"
chown -R 65532:65532 "$keys"
env -i "$@" ZIO_GATEWAY_DEFAULT_ROUTES=true "${within[@]}" &
pid=$!
for _ in {1..600}; do
  curl -sf http://127.0.0.1:7576/healthz && break
  kill -0 $pid || fail "the gateway ended"
  sleep 0.1
done
[[ $(ss -Hltn 'sport = :7575') == *"*:7575"* ]] || fail "gRPC is at $(ss -Hltn)"
"$gateway" get --address localhost:7575 --tls-ca "$keys/ca.pem" --token-file "$keys/alice.token" builtin=generate count=10
! "$gateway" get --address localhost:7575 --tls-ca "$keys/ca.pem" builtin=generate count=10 || fail "anybody is let in"
kill -TERM $pid
wait $pid || fail "the gateway ended with $?"
echo "all is well"
