// Package matrix has programs in every language give a set of tensors to each other. See
// README.md.
package matrix

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds the flows of a test: what takes longer hangs.
const patience = 2 * time.Minute

// root is the repository's.
const root = "../.."

// line is what a peer prints.
type line struct {
	Listening string   `json:"listening"`
	Peer      string   `json:"peer"`
	Role      string   `json:"role"`
	Other     string   `json:"other"`
	Direction string   `json:"direction"`
	Digests   []string `json:"digests"`
}

// flow names what a line is about.
func (l line) flow() string {
	return fmt.Sprintf("%s %s %s %s", l.Peer, l.Role, l.Direction, l.Other)
}

// peer is a program of the matrix.
type peer struct {
	name        string
	command     []string
	environment []string
}

// peers builds those that run everywhere.
func peers(t *testing.T) []peer {
	look(t, root+"/clients/node/src", root+"/clients/python/src", "node", "python")
	dir := t.TempDir()
	goPeer, client := filepath.Join(dir, "go-peer"), filepath.Join(dir, "node")
	build(t, "go", "build", "-o", goPeer, "./go")
	build(t, "node", "node/build.mjs", root+"/clients/node", client)
	python := filepath.Join(root, ".deps/python/bin/python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("%v: run `scripts/setup.sh python`", err)
	}
	return append(slowPeers(t), []peer{
		{name: "go", command: []string{goPeer}},
		{name: "python", command: []string{python, "python/peer.py"}},
		{name: "python-sync", command: []string{python, "python/peer_sync.py"}},
		{name: "python-native", command: []string{python, "python/peer.py"}},
		{name: "node", command: []string{"node", "node/peer.mjs"}, environment: []string{"ZIOFLOW=" + filepath.Join(client, "index.js")}},
	}...)
}

// look has go test know that the result depends on what is in these folders.
func look(t *testing.T, folders ...string) {
	t.Helper()
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Name() == "__pycache__" {
				return fs.SkipDir
			}
			if err == nil {
				_, err = os.Stat(name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func build(t *testing.T, name string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// TestMatrix has each program be the client of each, both ways: all digests are those of
// the set.
func TestMatrix(t *testing.T) {
	all, set := peers(t), set(t)
	want := digests(t, set)
	addresses := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var names []string
	for _, p := range all {
		names = append(names, p.name)
	}

	run := &run{t: t, set: set, got: map[string][]string{}, listening: make(chan string, len(all))}
	var handlers sync.WaitGroup
	stop := run.handlers(ctx, &handlers, all, addresses)
	for range all {
		select {
		case <-run.listening:
		case <-ctx.Done():
			t.Fatal("not every handler listens")
		}
	}
	for _, p := range all {
		run.program(ctx, p, nil, append(arguments(p, addresses, set, "client"), names...))
	}
	stop()
	handlers.Wait()

	for _, client := range names {
		for _, handler := range names {
			for _, l := range []line{
				{Peer: client, Role: "client", Direction: "extract", Other: handler}, {Peer: handler, Role: "handler", Direction: "inject", Other: client},
				{Peer: client, Role: "client", Direction: "inject", Other: handler}, {Peer: handler, Role: "handler", Direction: "extract", Other: client},
			} {
				run.check(l.flow(), want)
			}
		}
	}
}

// run is a run of all programs.
type run struct {
	t         *testing.T
	set       string // the name of the file that says what is given
	listening chan string

	mu  sync.Mutex
	got map[string][]string // guarded by mu; digests by flow
}

// handlers starts all as handlers, until stop is called.
func (r *run) handlers(ctx context.Context, done *sync.WaitGroup, all []peer, addresses [2]string) (stop func()) {
	var inputs []io.Closer
	for _, p := range all {
		in, out := io.Pipe()
		inputs = append(inputs, out)
		done.Go(func() { r.program(ctx, p, in, arguments(p, addresses, r.set, "handler")) })
	}
	return func() {
		for _, in := range inputs {
			_ = in.Close()
		}
	}
}

func arguments(p peer, addresses [2]string, set, role string) []string {
	return []string{p.name, addresses[0], addresses[1], set, role}
}

// program runs one until it ends, which it has to do well.
func (r *run) program(ctx context.Context, p peer, stdin io.ReadCloser, args []string) {
	command := exec.CommandContext(ctx, p.command[0], append(slices.Clone(p.command[1:]), args...)...)
	command.Env = append(os.Environ(), p.environment...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if stdin != nil {
		defer func() { _ = stdin.Close() }()
		command.Stdin = stdin
	}
	stdout, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		r.t.Errorf("%s: %v", command, err)
		return
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		r.note(lines.Bytes())
	}
	if err := command.Wait(); err != nil {
		r.t.Errorf("%s: %v\n%s", command, err, stderr.String())
	}
}

// note takes note of what a program printed.
func (r *run) note(text []byte) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		r.t.Errorf("a peer printed %q: %v", text, err)
		return
	}
	if l.Listening != "" {
		r.listening <- l.Listening
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, twice := r.got[l.flow()]; twice {
		r.t.Errorf("%s: reported twice", l.flow())
	}
	r.got[l.flow()] = l.Digests
}

// check compares the digests of a flow with the set's.
func (r *run) check(flow string, want []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	got, ok := r.got[flow]
	switch {
	case !ok:
		r.t.Errorf("%s: nothing was reported", flow)
	case len(got) != len(want):
		r.t.Errorf("%s: %d tensors, want %d", flow, len(got), len(want))
	case !slices.Equal(got, want):
		for k := range want {
			if got[k] != want[k] {
				r.t.Errorf("%s: tensor %d is not what it was", flow, k)
			}
		}
	}
}

// digests are those of the tensors that a file describes.
func digests(t *testing.T, name string) (all []string) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var element, shape, order string
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		if _, err := fmt.Sscan(line, &element, &shape, &order); err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		size, _ := strconv.Atoi(element[1:])
		for _, n := range strings.FieldsFunc(shape, func(r rune) bool { return r == 'x' || r == '-' }) {
			length, _ := strconv.Atoi(n)
			size *= length
		}
		mask := byte(0xff)
		if element[0] == 'b' {
			mask = 1
		}
		data := []byte(line)
		for i, k := 0, len(all); i < size; i++ {
			data = append(data, byte((i*2654435761+k*40503+1)%(1<<32)>>15)&mask)
		}
		sum := sha256.Sum256(data)
		all = append(all, hex.EncodeToString(sum[:]))
	}
	return all
}
