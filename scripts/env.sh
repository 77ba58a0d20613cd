# shellcheck shell=bash
# What building and testing by hand needs; bash or zsh:
#   . scripts/env.sh && go test ./...
# scripts/setup.sh provides what this points at.

_gateway_root=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)

# In front, so that these win over what is installed; once, however often this
# is sourced.
case ":${PATH}:" in
*":$_gateway_root/.deps/bin:"*) ;;
*) export PATH="$_gateway_root/.deps/bin:$PATH" ;;
esac
case ":${PKG_CONFIG_PATH-}:" in
*":$_gateway_root/.deps/libzmq/lib/pkgconfig:"*) ;;
*) export PKG_CONFIG_PATH="$_gateway_root/.deps/libzmq/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}" ;;
esac

export CGO_ENABLED=1
# Some distributions' Go is set to refuse the newer toolchain that go.mod names.
export GOTOOLCHAIN="${GOTOOLCHAIN:-auto}"
# Where Python and shell tests find the program, which `make build` builds.
export GATEWAY_BIN="${GATEWAY_BIN:-$_gateway_root/bin/gateway}"

unset _gateway_root
