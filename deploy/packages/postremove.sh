#!/bin/sh
# The user stays, as it may own files. What an administrator has put into
# /etc/zio-gateway stays, too.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
