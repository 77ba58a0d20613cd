# shellcheck shell=bash
# What building by hand needs; bash or zsh:
#   . scripts/env.sh && CGO_ENABLED=0 go build ./cmd/gateway
# scripts/setup.sh provides what this points at. Tests: scripts/env-test.sh.

_gateway_root=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)

# In front, so that these win over what is installed; once, however often this
# is sourced.
case ":${PATH}:" in
*":$_gateway_root/.deps/bin:"*) ;;
*) export PATH="$_gateway_root/.deps/bin:$_gateway_root/.deps/go/bin:$PATH" ;;
esac

# Some distributions' Go is set to refuse the newer toolchain that go.mod names.
export GOTOOLCHAIN="${GOTOOLCHAIN:-auto}"
# Where Python and shell tests find the program, which `make build` builds.
export GATEWAY_BIN="${GATEWAY_BIN:-$_gateway_root/bin/gateway}"

unset _gateway_root
