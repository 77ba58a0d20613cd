//go:build linux

package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/internal/netns"
)

// await waits until a command that ends by itself prints as many lines as are shown, and the
// last one so.
func (d *document) await(b block) {
	d.t.Helper()
	eventually(d.t, b.command, func() error {
		c := exec.CommandContext(d.ctx, "bash", "-c", d.addresses.Replace(b.command))
		c.Dir = d.root
		d.change(c)
		out, err := c.Output()
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		if err != nil || len(lines) != len(b.output) || plain(lines[len(lines)-1]) != plain(b.output[len(lines)-1]) {
			return fmt.Errorf("it prints (%w)\n%s", err, out)
		}
		return nil
	})
}

// codeBlock is one with its language.
var codeBlock = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")

// TestDiscoveryDocument runs all code of docs/discovery.md as printed, on a host of its own,
// and wants to see what is printed there.
func TestDiscoveryDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/discovery.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	kinds := map[string]int{}
	for _, match := range codeBlock.FindAllStringSubmatch(string(text), -1) {
		kinds[match[1]]++
		name := map[string]string{"python": "find.py", "yaml": "gateway.yaml"}[match[1]]
		if err := os.WriteFile(filepath.Join(folder, name), []byte(match[2]), 0o600); name != "" && err != nil {
			t.Fatal(err)
		}
	}
	blocks := consoleBlocks(string(text))
	if len(kinds) != 3 || kinds["python"] != 1 || kinds["yaml"] != 1 || kinds["console"] != len(blocks) || len(blocks) < 8 {
		t.Fatalf("the document has %v, and %d consoles with a terminal", kinds, len(blocks))
	}
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	python, err := filepath.Abs("../.deps/python/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	h := netns.New(t)
	h.IP("route add 224.0.0.0/4 dev lo") // as the document says
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	doc := &document{
		t: t, ctx: ctx, root: folder, cids: map[string]string{}, terminals: map[string]*terminal{}, change: h.On,
		addresses: strings.NewReplacer("bin/gateway", program, "python find.py", python+" find.py"),
	}
	for _, b := range blocks {
		if strings.Contains(b.command, "ListNodes") || strings.HasPrefix(b.command, "curl ") {
			doc.await(b) // who is asked may hear a moment later of who comes and goes
		}
		doc.run(b)
	}
	p := serveBy(t, onHost(h), []string{"--grpc=none", "--http=none"}, []string{"--config=" + filepath.Join(folder, "gateway.yaml"), "--zmq-server=tcp://*:0", "--zmq-router=tcp://*:0"}, nil)
	if !strings.Contains(p.ready, "zmq-server tcp://[::]:") && !strings.Contains(p.ready, "zmq-server tcp://0.0.0.0:") {
		t.Errorf("with the document's configuration the gateway prints %s", p.ready)
	}
}
