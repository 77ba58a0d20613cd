package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zioflow/gateway/cmd/gateway/internal/settings"
	"github.com/zioflow/gateway/gateway"
)

// document is the text of the files that a pattern stands for, from the project's root.
func document(t *testing.T, patterns ...string) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %v", pattern, paths, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	return all.String()
}

// TestMetricsDocumented: docs/metrics.md has every metric that the program registers,
// with its labels, whether it has a value yet or not, and no other.
func TestMetricsDocumented(t *testing.T) {
	documented := map[string][]string{}
	row := regexp.MustCompile("(?m)^\\| `((?:zio_gateway|grpc_server)_\\w+)` \\|[^|]*\\|([^|]*)\\|")
	for _, cells := range row.FindAllStringSubmatch(document(t, "docs/metrics.md"), -1) {
		documented[cells[1]] = names(cells[2])
	}
	registered := registeredMetrics(t)
	for name, labels := range registered {
		is, there := documented[name]
		switch {
		case !there:
			t.Errorf("%s %v is not documented", name, labels)
		case strings.HasPrefix(name, "zio_") && !reflect.DeepEqual(is, labels):
			t.Errorf("%s has the labels %v, documented are %v", name, labels, is)
		}
	}
	for name := range documented {
		if _, there := registered[name]; !there {
			t.Errorf("%s is documented, and not there", name)
		}
	}
}

// names are the words in backquotes, sorted.
func names(text string) []string {
	var found []string
	for _, word := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(text, -1) {
		found = append(found, word[1])
	}
	slices.Sort(found)
	return found
}

// registeredMetrics are the metrics of a running gateway that are not Go's or the
// process's, with their labels.
func registeredMetrics(t *testing.T) map[string][]string {
	t.Helper()
	flags, err := serveFlags(t, "", "--zmq-server=tcp://127.0.0.1:0", "--zmq-router=none", "--grpc=127.0.0.1:0", "--http=none",
		"--cluster=lab", "--cluster-node=a", "--cluster-listen=127.0.0.1:0", "--cluster-peer=127.0.0.1:0", "--insecure=cluster")
	if err != nil {
		t.Fatal(err)
	}
	c := flags.config()
	c.LogDropped = func() uint64 { return 0 }
	g, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	described := make(chan *prometheus.Desc)
	go func() {
		defer close(described)
		g.Metrics().Describe(described)
	}()
	found := map[string][]string{}
	parts := regexp.MustCompile(`^Desc\{fqName: "(\w+)", help: .*, constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)
	for d := range described {
		cells := parts.FindStringSubmatch(d.String())
		if cells == nil {
			t.Fatalf("%s: is written differently", d)
		}
		if !strings.HasPrefix(cells[1], "zio_") && !strings.HasPrefix(cells[1], "grpc_") {
			continue
		}
		labels := labelNames(cells[2], "=")
		found[cells[1]] = append(labels, labelNames(cells[3], " ")...)
		slices.Sort(found[cells[1]])
	}
	if len(found) < 40 {
		t.Fatalf("found %d metrics only", len(found))
	}
	return found
}

// labelNames are what stands before the mark in a list.
func labelNames(list, mark string) []string {
	var found []string
	for item := range strings.SplitSeq(list, ",") {
		if name, _, _ := strings.Cut(strings.TrimSpace(item), mark); name != "" {
			found = append(found, name)
		}
	}
	return found
}

// TestOptionsDocumented: every option of serve stands in the documentation, and those
// of security in its own.
func TestOptionsDocumented(t *testing.T) {
	c, err := serveFlags(t, "")
	if err != nil {
		t.Fatal(err)
	}
	security := map[string]bool{"allow-exec-routes": true}
	fields := reflect.TypeFor[settings.Security]()
	for i := range fields.NumField() {
		name := fields.Field(i).Tag.Get("name")
		if name == "" {
			name = strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(fields.Field(i).Name, "$1-$2"))
		}
		security[name] = true
	}
	all, secure := document(t, "README.md", "docs/[^c]*.md", "docs/cluster.md"), document(t, "docs/security.md")
	for _, name := range c.reading.Names() {
		mention := regexp.MustCompile("--" + name + `\b[^-]`)
		switch {
		case name == "routes": // that is a key of the file
		case !mention.MatchString(all):
			t.Errorf("--%s is not documented", name)
		case security[name] && !mention.MatchString(secure):
			t.Errorf("--%s is not in docs/security.md", name)
		}
		delete(security, name)
	}
	for name := range security {
		t.Errorf("--%s is no option", name)
	}
}
