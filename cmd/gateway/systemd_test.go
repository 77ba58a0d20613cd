package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/internal/logs/async"
)

// TestManagerIsTold: a service manager hears when the gateway is ready, that it is alive,
// and when it reloads and stops. It runs alone, as the environment is everybody's.
func TestManagerIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	hears := func(want string) {
		t.Helper()
		_ = manager.SetReadDeadline(time.Now().Add(20 * time.Second))
		text := make([]byte, 1000)
		for {
			n, err := manager.Read(text)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if strings.HasPrefix(string(text[:n]), want) {
				return
			}
		}
	}
	c, err := serveFlags(t, "", "--zmq-server=none", "--zmq-router=none", "--grpc=127.0.0.1:0", "--http=none", "--node=none")
	if err != nil {
		t.Fatal(err)
	}
	c.log = async.Open(os.Stderr, nil)
	defer c.log.Close(flushLog)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	hangUps, ended := make(chan os.Signal), make(chan error, 1)
	go func() { ended <- c.run(ctx, slog.New(slog.DiscardHandler), io.Discard, hangUps) }()
	hears("READY=1")
	hears("WATCHDOG=1")
	hangUps <- os.Interrupt // whatever it is
	hears("RELOADING=1\nMONOTONIC_USEC=")
	hears("READY=1")
	stop()
	hears("STOPPING=1")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
