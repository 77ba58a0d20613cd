package matrix

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serve runs a gateway until the test's end, and returns its addresses for gRPC and for
// DEALER sockets.
func serve(t *testing.T) [2]string {
	program := os.Getenv("ZIO_GATEWAY")
	if program == "" {
		program = root + "/bin/gateway"
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: run `make build`, or name it by ZIO_GATEWAY", err)
	}
	ready := filepath.Join(t.TempDir(), "ready.json")
	command := exec.Command(program, "serve", "--grpc=127.0.0.1:0", "--zmq-server=none", "--zmq-router=tcp://127.0.0.1:0",
		"--http=none", "--node=none", "--ready-file="+ready)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "ZIO_GATEWAY") {
			command.Env = append(command.Env, variable)
		}
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	hung := time.AfterFunc(2*patience, func() { _ = command.Process.Kill() })
	t.Cleanup(func() {
		defer hung.Stop()
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("gateway: %v\n%s", err, log.String())
		}
	})
	if _, err := stdout.Read(make([]byte, 1)); err != nil { // the line that says that it is ready
		t.Fatalf("gateway: %v", err)
	}
	var addresses struct {
		Grpc      string   `json:"grpc"`
		ZmqRouter []string `json:"zmq_router"`
	}
	text, err := os.ReadFile(ready)
	if err == nil {
		err = json.Unmarshal(text, &addresses)
	}
	if err != nil {
		t.Fatal(err)
	}
	return [2]string{addresses.Grpc, addresses.ZmqRouter[0]}
}
