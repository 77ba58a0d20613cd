#!/usr/bin/env bash
# Draws docs/pictures anew, from a real gateway in a real terminal: what the operator's
# commands show. A test compares them with what is shown.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env-test.sh"
cd "$root"
DRAW_PICTURES=1 go test ./cmd/gateway -count 1 -run TestPictures
