# shellcheck shell=bash
# What testing by hand needs besides scripts/env.sh; bash or zsh:
#   . scripts/env-test.sh && go test ./...
# The real ZeroMQ peers of the tests, and the gateway's second engine, are libzmq,
# which `scripts/setup.sh libzmq` provides. What is built with this has both engines.

_gateway_root=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)

case ":${PKG_CONFIG_PATH-}:" in
*":$_gateway_root/.deps/libzmq/lib/pkgconfig:"*) ;;
*) export PKG_CONFIG_PATH="$_gateway_root/.deps/libzmq/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}" ;;
esac
case " ${GOFLAGS-} " in
*" -tags=libzmq "*) ;;
*) export GOFLAGS="${GOFLAGS:+$GOFLAGS }-tags=libzmq" ;;
esac
# Go's build cache does not look at what pkg-config says: without this, a package that
# was built in another checkout would be linked with the library of that one.
case " ${CGO_LDFLAGS-} " in
*" -L$_gateway_root/.deps/libzmq/lib "*) ;;
*) export CGO_LDFLAGS="${CGO_LDFLAGS:--O2 -g} -L$_gateway_root/.deps/libzmq/lib" ;;
esac
export CGO_ENABLED=1

# shellcheck source=scripts/env.sh
. "$_gateway_root/scripts/env.sh" # which unsets _gateway_root
