#!/usr/bin/env bash
# Builds development tools, pinned in tools/, into .deps/bin:
#   scripts/tools.sh NAME...
# Each is built once, and again when its pin or Go changes.
set -euo pipefail

if (($# == 0)); then
  sed -n '2,/^set/ s/^# \?//p' "$0"
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env.sh"
export GOBIN=$root/.deps/bin GOWORK=off CGO_ENABLED=0

go_version=$(cd "$root/tools" && go env GOVERSION)
mkdir -p "$GOBIN"
exec 9>"$root/.deps/tools.lock"
flock 9

for name in "$@"; do
  # The module that has a tool line for this name, and the package it names.
  found=$(grep -oHE "^(tool)?[[:space:]]+[^ ]+/$name\$" "$root"/tools/go.mod "$root"/tools/*/go.mod) ||
    { echo "tools: there is no $name in tools/" >&2; exit 2; }
  module=${found%%/go.mod:*}
  package=${found##*[[:space:]]}

  stamp="$go_version $(cat "$module/go.mod" "$module/go.sum" | sha256sum)"
  if [[ -x $GOBIN/$name && $(cat "$GOBIN/.$name.stamp" 2>/dev/null) == "$stamp" ]]; then
    continue
  fi
  echo "tools: building $name"
  (cd "$module" && GOFLAGS="${GOFLAGS-} -mod=readonly" go install -ldflags="-s -w" "$package") 9>&-
  echo "$stamp" >"$GOBIN/.$name.stamp"
done
