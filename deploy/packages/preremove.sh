#!/bin/sh
# Stops the service and its sockets, unless another version follows: "upgrade" is Debian's word for
# that, 1 is Red Hat's.
set -e
case "${1-}" in
upgrade | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now zio-gateway.socket zio-gateway.service
fi
