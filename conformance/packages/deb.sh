#!/usr/bin/env bash
# Installs a .deb in a copy of this machine, serves with it, upgrades and purges it:
#   unshare --mount --pid --net --fork deb.sh FOLDER PACKAGE
set -euo pipefail
# shellcheck source=packages/root.sh
. "$(dirname "$0")/root.sh"
[[ -n ${INSIDE-} ]] || in_copy "$1" "$0" "$@"

# Where systems leave manual pages out, this one does not.
dpkg -i --path-include=/usr/share/man/man1/gateway.1.gz "$2"
installed
serves
echo "max-flows: 7" >>/etc/zio-gateway/gateway.yaml
dpkg -i --path-include=/usr/share/man/man1/gateway.1.gz "$2"
grep -q "max-flows: 7" /etc/zio-gateway/gateway.yaml || fail "an upgrade has taken the configuration away"
installed
dpkg -r zio-gateway
[[ ! -e /usr/bin/gateway && ! -e /usr/share/man/man1/gateway.1.gz && -e /etc/zio-gateway/gateway.yaml ]] || fail "what is left after removal: $(ls /usr/bin/gateway /etc/zio-gateway)"
dpkg -P zio-gateway
[[ ! -e /etc/zio-gateway/gateway.yaml ]] || fail "purged, it leaves its configuration behind"
echo "all is well"
