package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/gateway/config"
)

// inherited are the sockets that a service manager has bound for this process (LISTEN_FDS),
// by the names of their transports. Programs that routes start do not have them.
var inherited = sync.OnceValues(func() (map[string][]net.Listener, error) {
	all := map[string][]net.Listener{}
	for _, file := range activation.Files(true) {
		if names := config.Activated(); !slices.Contains(names, file.Name()) {
			return nil, fmt.Errorf("LISTEN_FDNAMES: a socket is named %q, want %s: FileDescriptorName= in its unit says so",
				file.Name(), strings.Join(names, ", "))
		}
		l, err := net.FileListener(file) // of a duplicate
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("LISTEN_FDS: the socket named %s: want a stream that listens, over TCP or a path: %w", file.Name(), err)
		}
		all[file.Name()] = append(all[file.Name()], l)
	}
	return all, nil
})

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
