//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// inheriting has a command's process find sockets as systemd hands them over.
func inheriting(names string, files ...*os.File) func(*exec.Cmd) {
	return func(command *exec.Cmd) {
		command.ExtraFiles = files
		command.Env = append(command.Env, fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+names)
		command.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, command.Path}, command.Args[1:]...)
		command.Path = "/bin/sh"
	}
}

// TestInheritedSockets take the place of the addresses: who has connected before the gateway
// has begun, or while it is started again, is served.
func TestInheritedSockets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var files []*os.File
	var at []string
	for _, address := range []string{"", dir + "/grpc", "", dir + "/router", dir + "/http"} {
		network := "unix"
		if address == "" {
			network, address = "tcp", "127.0.0.1:0"
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		file, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = l.Close(), file.Close() })
		files, at = append(files, file), append(at, l.Addr().String())
	}
	by := inheriting("grpc:grpc:zmq-server:zmq-router:http", files...)
	for range 2 {
		early, err := net.Dial("unix", dir+"/http")
		if err != nil {
			t.Fatal(err)
		}
		addresses, stop := servingBy(t, by, "--default-routes", "--grpc=none", "--zmq-router=tcp://127.0.0.1:1")
		want := fmt.Sprint(map[string]any{
			"grpc": at[0], "grpc_addresses": []string{at[0], "unix:" + dir + "/grpc"}, "zmq_server": []string{"tcp://" + at[2]},
			"zmq_router": []string{"ipc://" + dir + "/router"}, "http": "unix:" + dir + "/http", "http_addresses": []string{"unix:" + dir + "/http"},
		})
		if got := fmt.Sprint(addresses); got != want {
			t.Errorf("the addresses are\n%s, want\n%s", got, want)
		}
		if _, err := io.WriteString(early, "GET /readyz HTTP/1.0\r\n\r\n"); err != nil {
			t.Error(err)
		}
		if r, err := http.ReadResponse(bufio.NewReader(early), nil); err != nil || r.StatusCode != http.StatusOK {
			t.Errorf("who came early: %v, %v", r, err)
		}
		_ = early.Close()
		for _, address := range []string{at[0], "unix:" + dir + "/grpc"} {
			wantReload(t, address)
		}
		for via, address := range map[string]string{"zmq-server": "tcp://" + at[2], "zmq-router": "ipc://" + dir + "/router"} {
			get := exec.Command(os.Args[0], "get", "--via", via, "--address", address, "builtin=generate", "count=3")
			get.Env = append(os.Environ(), asProgram+"=1")
			if out, err := get.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", via, err, out)
			}
		}
		stop()
		if _, err := os.Lstat(dir + "/grpc"); err != nil {
			t.Errorf("it has removed what is somebody else's: %v", err)
		}
	}
}

// wantReload is an operator who reloads: the sockets stay.
func wantReload(t *testing.T, address string) {
	t.Helper()
	client, err := zioflow.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if r, err := client.Admin().Reload(t.Context(), &gatewayv1.ReloadRequest{}); err != nil || len(r.GetNeedRestart()) > 0 {
		t.Errorf("%s: %v, %v", address, r, err)
	}
}

// TestInheritedNonsense: what no transport can take is refused, and so is an open address.
func TestInheritedNonsense(t *testing.T) {
	t.Parallel()
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = tcp.Close(), udp.Close() }()
	everywhere, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	datagrams, err := udp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = everywhere.Close(), datagrams.Close() }()
	for _, c := range []struct {
		name, want string
		file       *os.File
	}{
		{"zio-gateway.socket", `a socket is named "zio-gateway.socket", want zmq-server, zmq-router, grpc, http: FileDescriptorName= in its unit says so`, everywhere},
		{"grpc", "is reachable from other machines", everywhere},
		{"grpc", "want a stream that listens", datagrams},
	} {
		command := exec.Command(os.Args[0], "serve", "--node=none", "--zmq-server=none", "--zmq-router=none", "--http=none")
		command.Env = append(os.Environ(), asProgram+"=1")
		inheriting(c.name, c.file)(command)
		if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v: %s, want %s", c.name, err, out, c.want)
		}
	}
}

// TestSocketActivation is with systemd's own program, where there is one.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("there is no systemd here")
	}
	path := filepath.Join(t.TempDir(), "grpc")
	connects := make(chan error, 1)
	go func() { // it starts the gateway for whoever connects first
		connects <- eventuallyDials(path)
	}()
	addresses, _ := servingBy(t, func(command *exec.Cmd) {
		variables := []string{"--setenv=" + asProgram + "=1"}
		command.Args = slices.Concat([]string{activate, "--listen=" + path, "--fdname=grpc"}, variables, []string{command.Path}, command.Args[1:])
		command.Path = activate
	})
	if err := <-connects; err != nil {
		t.Error(err)
	}
	if addresses["grpc"] != "unix:"+path {
		t.Errorf("the addresses are %v", addresses)
	}
	wantReload(t, "unix:"+path)
}

// eventuallyDials connects to a path as soon as somebody listens there.
func eventuallyDials(path string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-deadline:
			return err
		}
	}
}
