package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/zioflow/gateway/gateway"
)

// tellManager tells the service manager that has started the process, if one has and wants
// to know (sd_notify). What it cannot be told changes nothing.
func tellManager(state string) { _, _ = daemon.SdNotify(false, state) }

// tellReloading tells it that the configuration is read anew, and then that that is over.
func tellReloading(reload func()) {
	tellManager(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	reload()
	tellManager(daemon.SdNotifyReady)
}

// keepWatchdog tells the service manager until ctx ends that the gateway is alive, twice in
// the time after which it would be started again (WatchdogSec=). A gateway that is stuck
// cannot say how it is, and so is not told of.
func keepWatchdog(ctx context.Context, g *gateway.Gateway) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval <= 0 {
		return
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = g.Status()
			_ = g.Broker().Stats()
			tellManager(daemon.SdNotifyWatchdog)
		case <-ctx.Done():
			return
		}
	}
}
