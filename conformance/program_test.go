package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var scratchDir string // set by scratch; nothing else runs when it is removed

// scratch is a folder for what the tests build.
var scratch = sync.OnceValues(func() (dir string, err error) {
	scratchDir, err = os.MkdirTemp("", "gateway")
	return scratchDir, err
})

// builtProgram builds the gateway as users run it, once for all tests; with the engine
// that is tested, which gatewayCommand names.
var builtProgram = sync.OnceValues(func() (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gateway")
	build := exec.Command("go", "build", "-o", path, "-tags", engine(), "github.com/zioflow/gateway/cmd/gateway")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// programFolder is a folder in which documents' commands find the program as bin/gateway.
func programFolder(t *testing.T) string {
	t.Helper()
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(folder, "bin", "gateway")); err != nil {
		t.Fatal(err)
	}
	return folder
}

func removeScratch() {
	if scratchDir != "" {
		_ = os.RemoveAll(scratchDir)
	}
}

// program is a gateway in a process of its own.
type program struct {
	*inProcess
	command *exec.Cmd
	ready   string // the line that it has printed
	http    string
	file    string // the ready file
	log     *logBuffer
	exited  chan error // takes what Wait answers
}

// ephemeral are the addresses of a gateway that disturbs no other.
var ephemeral = []string{
	"--zmq-server=tcp://127.0.0.1:0", "--zmq-router=tcp://127.0.0.1:0", "--grpc=127.0.0.1:0", "--http=127.0.0.1:0",
}

// lifetime bounds that of a gateway whose test does not end: parallel tests wait for each
// other, and do so while their gateways run.
const lifetime = 15 * time.Minute

// serve runs `gateway serve` with these arguments and environment in addition to
// ephemeral addresses, until the test's end.
func serve(t *testing.T, arguments, environment []string) *program {
	t.Helper()
	return serveAt(t, ephemeral, arguments, environment)
}

func serveAt(t *testing.T, addresses, arguments, environment []string) *program {
	t.Helper()
	return serveBy(t, func(*exec.Cmd) {}, addresses, arguments, environment)
}

// serveBy is serveAt with a command that is changed before it is started.
func serveBy(t *testing.T, change func(*exec.Cmd), addresses, arguments, environment []string) *program {
	t.Helper()
	p := &program{file: filepath.Join(t.TempDir(), "ready.json"), log: newLogBuffer(), exited: make(chan error, 1)}
	arguments = append(append([]string{"serve", "--ready-file", p.file}, addresses...), arguments...)
	p.command = gatewayCommand(t, lifetime, arguments, environment)
	p.command.Stderr = p.log
	change(p.command)
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n') // or the end, if it exits
	p.ready = strings.TrimSpace(line)
	go func() {
		_, drained := io.Copy(io.Discard, lines)
		p.exited <- errors.Join(p.command.Wait(), drained)
	}()
	t.Cleanup(func() { p.kill(t) })
	if err != nil {
		t.Fatalf("the gateway printed %q instead of its ready line:\n%s", line, p.log.text())
	}
	p.readAddresses(t)
	return p
}

// gatewayCommand runs without the environment's own settings of the gateway, but for
// the engine that is tested, and without discovery: other tests' gateways are none of its
// business. It is killed if it outlives its limit.
func gatewayCommand(t *testing.T, limit time.Duration, arguments, environment []string) *exec.Cmd {
	t.Helper()
	path, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, path, arguments...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "ZIO_GATEWAY_") {
			command.Env = append(command.Env, variable)
		}
	}
	if engine() == "libzmq" {
		command.Env = append(command.Env, "ZIO_GATEWAY_ZMQ_ENGINE=libzmq")
	}
	command.Env = append(command.Env, "ZIO_GATEWAY_NODE=none")
	command.Env = append(command.Env, environment...)
	return command
}

// addressFile is what the ready file holds.
type addressFile struct {
	ZMQServer     []string `json:"zmq_server"`
	ZMQRouter     []string `json:"zmq_router"`
	GRPC          string   `json:"grpc"`
	HTTP          string   `json:"http"`
	GRPCs         []string `json:"grpc_addresses"`
	HTTPAddresses []string `json:"http_addresses"`

	Cluster     string `json:"cluster"`
	ClusterPeer string `json:"cluster_peer"`
}

func (p *program) readAddresses(t *testing.T) addressFile {
	t.Helper()
	var text []byte
	eventually(t, "the ready file", func() (err error) { text, err = os.ReadFile(p.file); return err })
	var file addressFile
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		t.Fatalf("ready file %q: %v", text, err)
	}
	p.http = file.HTTP
	p.inProcess = &inProcess{addresses: map[transportName]string{viaGRPC: file.GRPC}}
	if len(file.ZMQServer) > 0 {
		p.addresses[viaClient] = file.ZMQServer[0]
	}
	if len(file.ZMQRouter) > 0 {
		p.addresses[viaDealer] = file.ZMQRouter[0]
	}
	return file
}

// eventually tries until there is no error, for what only another process does
// and tells nobody.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func (p *program) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wait waits for the process to exit, and answers its exit code or, below 0, the
// signal that ended it.
func (p *program) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case err := <-p.exited:
		p.exited <- err
		state := p.command.ProcessState.Sys().(syscall.WaitStatus)
		if state.Signaled() {
			return -int(state.Signal())
		}
		return state.ExitStatus()
	case <-time.After(limit):
		t.Fatalf("the gateway has not exited within %v:\n%s", limit, p.log.text())
		return 0
	}
}

// kill ends the process, if it still runs. No word of its log may be panic, but for what a script
// asks a factory to do.
func (p *program) kill(t *testing.T) {
	_ = p.command.Process.Kill()
	err := <-p.exited
	p.exited <- err
	log := p.log.text()
	if words := strings.ReplaceAll(log, `\"panics\"`, ""); t.Failed() || strings.Contains(words, "panic") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the gateway ended with %v and logged:\n%s", err, log)
	}
}

// logBuffer keeps what a process writes, for those who wait for some words.
type logBuffer struct {
	mu      sync.Mutex
	written bytes.Buffer  // guarded by mu
	more    chan struct{} // guarded by mu; closed by the next write
}

func newLogBuffer() *logBuffer { return &logBuffer{more: make(chan struct{})} }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.more)
	b.more = make(chan struct{})
	return b.written.Write(p)
}

func (b *logBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.written.String()
}

// waitFor waits until the words were written.
func (b *logBuffer) waitFor(t *testing.T, words string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		found, more := strings.Contains(b.written.String(), words), b.more
		b.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("the log does not say %q:\n%s", words, b.text())
		}
	}
}
