package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/internal/execfile"
)

// asProgram in the environment has the test's own program be the gateway: nothing else has
// to be built.
const asProgram = "GATEWAY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		_ = os.Unsetenv(asProgram)
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// program is a folder with a command `gateway` in it, and an environment in which it is found
// and in which the gateway at that address is the default.
func program(t *testing.T, address string) (environment []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	script := "#!/bin/sh\n" + asProgram + "=1 exec '" + self + "' \"$@\"\n"
	if err := execfile.Write(filepath.Join(folder, "gateway"), script); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "ZIO_GATEWAY_ADDRESS="+address, "TZ=UTC",
		"HOME="+folder, "XDG_CONFIG_HOME="+filepath.Join(folder, "config"))
}

// serving is a gateway that runs until the test ends. It returns its addresses by their keys in
// the ready file.
func serving(t *testing.T, arguments ...string) map[string]any {
	t.Helper()
	addresses, _ := servingBy(t, func(*exec.Cmd) {}, arguments...)
	return addresses
}

// servingBy is serving by a command that is changed before it is started. It returns as well
// what stops it.
func servingBy(t *testing.T, change func(*exec.Cmd), arguments ...string) (addresses map[string]any, stop func()) {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready.json")
	arguments = append([]string{"serve", "--node=none", "--zmq-server=tcp://127.0.0.1:0", "--zmq-router=tcp://127.0.0.1:0",
		"--grpc=127.0.0.1:0", "--http=127.0.0.1:0", "--ready-file", ready}, arguments...)
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, os.Args[0], arguments...)
	command.Env = append(os.Environ(), asProgram+"=1")
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 30 * time.Second
	var log bytes.Buffer
	command.Stderr = &log
	change(command)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; t.Failed() {
			t.Logf("the gateway ended with %v, its log:\n%s", err, &log)
		}
	})
	t.Cleanup(stop)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		var addresses map[string]any
		if text, err := os.ReadFile(ready); err == nil && json.Unmarshal(text, &addresses) == nil {
			return addresses, stop
		}
		select {
		case <-tick.C:
		case err := <-ended:
			ended <- err
			t.Fatalf("the gateway has ended: %v", err)
		case <-deadline:
			t.Fatal("the gateway never became ready")
		}
	}
}
