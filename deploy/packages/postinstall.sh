#!/bin/sh
# The service's user, who may read its configuration. The service is for the
# administrator to enable; one that runs goes on with the new program.
set -e
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers zio-gateway.conf
elif ! getent passwd zio-gateway >/dev/null; then
	useradd --system --no-create-home --home-dir / --shell /usr/sbin/nologin --user-group zio-gateway
fi
chgrp zio-gateway /etc/zio-gateway
if [ -f /etc/zio-gateway/gateway.yaml ]; then
	chgrp zio-gateway /etc/zio-gateway/gateway.yaml
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart zio-gateway.service
fi
