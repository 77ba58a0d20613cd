//go:build unix

package unixsocket_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/internal/unixsocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestListen: a path is one gateway's, for its user and group, and nothing stays of it.
func TestListen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "grpc")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unixsocket.Listen(path); err == nil || !strings.Contains(err.Error(), "another process serves this path") {
		t.Errorf("of somebody who knows of no locks: %v", err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := unixsocket.Listen(path)
	if err != nil {
		t.Fatalf("in the place of one that a crash has left: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if _, err := unixsocket.Listen(path); err == nil || !strings.Contains(err.Error(), "another process serves this path") {
		t.Errorf("of another gateway: %v", err)
	}
	if from, want := connect(t, l, path), unixsocket.AddressOf(path); from != want && from != fmt.Sprintf("%s,pid=%d", want, os.Getpid()) || runtime.GOOS == "linux" && from == want {
		t.Errorf("who connects comes from %q, want %s and the process", from, want)
	}
	for range 2 {
		_ = l.Close()
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := unixsocket.Listen(path); err == nil || !strings.Contains(err.Error(), "is no socket, but a file: it is not removed") {
		t.Errorf("of a file: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file has %q, %v", text, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("%v is left", left)
	}
}

// connect returns where a connection comes from.
func connect(t *testing.T, l net.Listener, path string) string {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	if network := accepted.RemoteAddr().Network(); network != "unix" {
		t.Errorf("its network is %s", network)
	}
	return accepted.RemoteAddr().String()
}
