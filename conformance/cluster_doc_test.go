//go:build linux

package main_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/internal/netns"
)

// passed is what differs from one run to another: times, behind ports that were chosen.
var passed = regexp.MustCompile(`(grpc 127\.0\.0\.1:40000 )\S+`)

// TestClusterDocument runs the console blocks of docs/cluster.md as printed, on a host of its
// own, and wants to see what is printed there.
func TestClusterDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := consoleBlocks(string(text))
	if len(blocks) < 14 || len(blocks) != strings.Count(string(text), "```console") {
		t.Fatalf("found %d console blocks", len(blocks))
	}
	folder := programFolder(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	doc := &document{
		t: t, ctx: ctx, root: folder, cids: map[string]string{}, terminals: map[string]*terminal{}, change: netns.New(t).On,
		addresses: strings.NewReplacer(),
	}
	for _, b := range blocks {
		switch {
		case strings.HasPrefix(b.command, "bin/gateway status"), strings.HasPrefix(b.command, "bin/gateway routes |"):
			doc.await(b) // nodes hear of each other a moment later
		case b.command == "bin/gateway listeners":
			doc.listeners(b)
		default:
			doc.run(b)
		}
	}
}

// listeners shows a table in which the width of a column may differ.
func (d *document) listeners(b block) {
	d.t.Helper()
	shown := d.start(b.command)
	for _, want := range b.output {
		select {
		case got := <-shown.lines:
			if w, g := fields(want), fields(got); w != g {
				d.t.Errorf("the document shows\n%s\nbut it is\n%s", w, g)
			}
		case <-d.ctx.Done():
			d.t.Fatalf("never showed %q", want)
		}
	}
}

// fields is a line without what its columns' widths and the moment make of it.
func fields(line string) string {
	return passed.ReplaceAllString(regexp.MustCompile(`:[3-6]\d{4}`).ReplaceAllString(strings.Join(strings.Fields(line), " "), ":40000"), "$1…")
}

// TestClusterDocument_hosts has the gateway check what the document sets on hosts of their own,
// by systemd and in containers.
func TestClusterDocument_hosts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	made, err := gatewayCommand(t, patience, []string{"keygen", "cluster", folder, "a"}, nil).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, made)
	}
	file := filepath.Join(folder, "gateway.yaml")
	writeFile(t, file, "grpc: 127.0.0.1:7575\n")
	keys := strings.NewReplacer("/etc/zio-gateway/cluster", filepath.Join(folder, "a"))
	for kind, setting := range map[string]*regexp.Regexp{
		"ini": regexp.MustCompile(`(?m)^Environment=(ZIO_GATEWAY_.*)$`), "sh": regexp.MustCompile(`(?m)^ +--env (ZIO_GATEWAY_\S+) \\$`),
	} {
		block := blockOf(string(text), kind)
		var environment []string
		for _, match := range setting.FindAllStringSubmatch(block, -1) {
			environment = append(environment, keys.Replace(match[1]))
		}
		if len(environment) != 6 || strings.Count(block, "ZIO_GATEWAY_") != 6 {
			t.Fatalf("%s sets %q", kind, environment)
		}
		if out, err := gatewayCommand(t, patience, []string{"check", file}, environment).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", kind, err, out)
		}
		// The keys are looked at, and so is the rest.
		environment = append(environment, "ZIO_GATEWAY_CLUSTER_KEYS="+folder)
		if out, err := gatewayCommand(t, patience, []string{"check", file}, environment).CombinedOutput(); err == nil {
			t.Errorf("%s: with no node's keys it is\n%s", kind, out)
		}
	}
}
