#!/usr/bin/env bash
# Checks style and the outside contract: what `make lint` does once everything
# is there. Goes on after a failure, and fails in the end.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env-test.sh"
cd "$root"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

check_gofmt() {
  local files
  files=$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 -r gofmt -l)
  [[ -z $files ]] || { echo "not formatted:"; echo "$files"; return 1; }
}

# check_breaking: compares the protos with those of the main branch; the
# upstream's where there is one, as the local branch moves with the work.
check_breaking() {
  local ref contract
  for ref in origin/main main; do
    if git rev-parse -q --verify "$ref:buf.yaml" >/dev/null; then
      mapfile -t contract < <(git ls-tree --name-only "$ref" proto third_party buf.yaml)
      git archive "$ref" "${contract[@]}" | tar -x -C "$work" && buf breaking --against "$work"
      return
    fi
  done
  echo "skipped: no earlier commit has a buf.yaml"
}

check_shell() {
  command -v shellcheck >/dev/null || { echo "skipped: no shellcheck"; return; }
  git ls-files -z --cached --others --exclude-standard '*.sh' .ci/run | xargs -0 shellcheck
}

# check_python: style and types of the Python client.
check_python() {
  local bin=$root/.deps/python-lint/bin
  (
    cd clients/python
    "$bin/ruff" check -q . && "$bin/ruff" format --check -q . &&
      "$bin/mypy" && "$bin/pyright" --pythonpath "$bin/python"
  )
}

echo "== gofmt"
check_gofmt || status=1
echo "== go vet"
go vet ./... || status=1
(cd bench/chart && go vet ./...) || status=1
(cd conformance/peers/go && go vet ./...) || status=1
echo "== golangci-lint"
golangci-lint run || status=1
(cd bench/chart && golangci-lint run) || status=1
(cd conformance/peers/go && golangci-lint run) || status=1
echo "== buf lint"
buf lint || status=1
echo "== buf breaking"
check_breaking || status=1
echo "== shellcheck"
check_shell || status=1
echo "== Python"
check_python || status=1

exit $status
