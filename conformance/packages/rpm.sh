#!/usr/bin/env bash
# Installs an .rpm in a copy of this machine, serves with it, and erases it:
#   unshare --mount --pid --net --fork rpm.sh FOLDER PACKAGE
set -euo pipefail
# shellcheck source=packages/root.sh
. "$(dirname "$0")/root.sh"
[[ -n ${INSIDE-} ]] || in_copy "$1" "$0" "$@"

# The database of rpm knows nothing of the shell that is there.
rpm -i --nodeps --force-debian "$2"
installed
serves
echo "max-flows: 7" >>/etc/zio-gateway/gateway.yaml
rpm -U --nodeps --force --force-debian "$2"
grep -q "max-flows: 7" /etc/zio-gateway/gateway.yaml || fail "an upgrade has taken the configuration away"
rpm -e --nodeps zio-gateway
[[ ! -e /usr/bin/gateway ]] || fail "erased, it is still there"
echo "all is well"
