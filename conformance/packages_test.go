package main_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zioflow/gateway/internal/version"
)

// TestPackages makes the packages and installs them from dist/, as the README says, where
// nothing else of ours is; and has the first program of each client's README run with them.
// It takes minutes, so it is run where TEST_PACKAGES is set, as by make soak.
func TestPackages(t *testing.T) {
	if os.Getenv("TEST_PACKAGES") == "" {
		t.Skip("takes minutes: make soak runs it, and TEST_PACKAGES=1")
	}
	dist := filepath.Join(t.TempDir(), "dist")
	pack(t, dist)
	t.Run("same bytes", func(t *testing.T) { samePackages(t, dist) })
	t.Run("sums", func(t *testing.T) { sumsHold(t, dist) })
	t.Run("archive", func(t *testing.T) { unpackArchive(t, dist) })
	t.Run("deb", func(t *testing.T) {
		installPackage(t, dist, "packages/deb.sh", "zio-gateway_"+version.Number+"_amd64.deb")
	})
	t.Run("rpm", func(t *testing.T) {
		installPackage(t, dist, "packages/rpm.sh", "zio-gateway-"+version.Number+"-1.x86_64.rpm")
	})
	t.Run("chart", func(t *testing.T) { renderChart(t, dist) })
	t.Run("image", func(t *testing.T) { runImage(t, dist) })
	t.Run("contract", func(t *testing.T) { sameContract(t, filepath.Join(dist, "protos.tar.gz")) })

	python := cleanFolder(t, dist)
	install, serveLine := cutLast(t, readmePackages(t, "Python"))
	inFolder(t, python, install)
	address := serveInstalled(t, python, serveLine)

	t.Run("wheels", func(t *testing.T) { runFirstProgram(t, python, "python", "env/bin/python", address) })
	t.Run("sdist", func(t *testing.T) {
		folder := cleanFolder(t, dist)
		inFolder(t, folder, "python3 -m venv env\nenv/bin/pip install dist/zioflow-"+version.Number+".tar.gz")
		runFirstProgram(t, folder, "python", "env/bin/python", address)
	})
	t.Run("npm", func(t *testing.T) {
		folder := cleanFolder(t, dist)
		inFolder(t, folder, readmePackages(t, "Node"))
		runFirstProgram(t, folder, "node", "node", address)
	})
}

// pack is `make dist`, less what is installed for it.
func pack(t *testing.T, dist string, environment ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-c", "umask 077; exec ../scripts/dist.sh")
	command.Env = append(append(os.Environ(), "DIST="+dist), environment...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("dist.sh: %v\n%s\nIt needs scripts/setup.sh dist", err, out)
	}
}

// samePackages packs again, elsewhere and as somebody else might.
func samePackages(t *testing.T, dist string) {
	other := filepath.Join(t.TempDir(), "elsewhere")
	pack(t, other, "TZ=Asia/Tokyo", "LC_ALL=C", "HOME="+t.TempDir(), "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"))
	was, is := sums(t, dist), sums(t, other)
	// sdist and wheel, four wheels, Node's, the contract; four archives and what they are
	// made of, two packages and an image for each Linux, the chart, the sums.
	if len(was) != 8+8+6+1+1 {
		t.Errorf("packed were %v", was)
	}
	for name, sum := range was {
		if is[name] != sum {
			t.Errorf("%s has other bytes when it is packed again", name)
		}
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func sums(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return all
}

// sameContract: the archive has our protos and those that they import, and nothing else.
func sameContract(t *testing.T, archive string) {
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	want := protos(t)
	for packed := tar.NewReader(unpacked); ; {
		header, err := packed.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		text, err := io.ReadAll(packed)
		if err != nil || string(text) != string(want[header.Name]) {
			t.Errorf("%s is not what is in the repository (%v)", header.Name, err)
		}
		delete(want, header.Name)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}

// readmePackages is a block of the README's section about packages.
func readmePackages(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- packages: "+name+" -->\n")
	if !found {
		t.Fatalf("the README has no packages for %s", name)
	}
	return blockOf(rest, "sh")
}

// cutLast is a block without its last line, and that line.
func cutLast(t *testing.T, block string) (before, last string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(block, "\n"), "\n")
	return strings.Join(lines[:len(lines)-1], "\n"), lines[len(lines)-1]
}

func cleanFolder(t *testing.T, dist string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Symlink(dist, filepath.Join(folder, "dist")); err != nil {
		t.Fatal(err)
	}
	return folder
}

// inFolder runs commands as a user would who has nothing of this repository.
func inFolder(t *testing.T, folder, commands string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euc", commands)
	command.Dir = folder
	command.Env = cleanEnvironment()
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s\n%v\n%s%s", commands, err, out, stderr.String())
	}
	return string(out)
}

func cleanEnvironment() []string {
	var clean []string
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !strings.HasPrefix(name, "ZIO_GATEWAY") && name != "PYTHONPATH" && name != "NODE_PATH" {
			clean = append(clean, variable)
		}
	}
	return clean
}

// serveInstalled runs the program that was installed, and returns where its gRPC is.
func serveInstalled(t *testing.T, folder, line string) string {
	t.Helper()
	if line != "env/bin/gateway serve" {
		t.Fatalf("the README runs %q last", line)
	}
	if got := inFolder(t, folder, "env/bin/gateway --version"); !regexp.MustCompile(`^gateway ` + regexp.QuoteMeta(version.Number) + `[+ ]`).MatchString(got) {
		t.Errorf("it is %s, want %s", got, version.Number)
	}
	return serveLong(t, filepath.Join(folder, "env/bin/gateway"))
}

// serveLong runs a gateway for as long as the test takes, which may be long, and returns
// where its gRPC is.
func serveLong(t *testing.T, path string) string {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready.json")
	command := exec.Command(path, append([]string{"serve", "--node=none", "--ready-file=" + ready}, ephemeral...)...)
	command.Env = cleanEnvironment()
	if err := startWithParent(command); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	var file addressFile
	eventually(t, "the ready file", func() error {
		text, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &file)
	})
	return file.GRPC
}

// runFirstProgram runs the first program of a client's README, which gives, and the second,
// and wants what is printed there.
func runFirstProgram(t *testing.T, folder, client, interpreter, address string) {
	t.Helper()
	text, err := os.ReadFile("../clients/" + client + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```(?:python|js)\n(.*?)```\n```output\n(.*?)```").FindAllSubmatch(text, 2)
	if len(examples) != 2 {
		t.Fatalf("the README of %s has %d programs", client, len(examples))
	}
	for i, example := range examples {
		name := map[string]string{"python": "example%d.py", "node": "example%d.mjs"}[client]
		name = fmt.Sprintf(name, i)
		writeFile(t, filepath.Join(folder, name), strings.ReplaceAll(string(example[1]), "127.0.0.1:7575", address))
		if got := inFolder(t, folder, interpreter+" "+name); got != string(example[2]) {
			t.Errorf("%s prints\n%s\nwant\n%s", name, got, example[2])
		}
	}
}
