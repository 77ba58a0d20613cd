package main_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/execfile"
)

// compiled are the languages of docs/languages.md whose tools take minutes to fetch and to
// compile: they are run where TEST_LANGUAGES is set, as by make soak.
var compiled = map[string]bool{"C++": true, "Java": true, "Rust": true}

// TestLanguages runs docs/languages.md: each section's files and commands as printed, in a
// folder that has nothing else but what `make dist` makes of the contract.
func TestLanguages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/languages.md")
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), "```text\n")
	want, _, closed := strings.Cut(after, "```")
	if !found || !closed || strings.Contains(before, "```") {
		t.Fatal("the document does not begin with what the programs print")
	}
	archive := filepath.Join(t.TempDir(), "protos.tar.gz")
	packProtos(t, archive)
	seen := map[string]bool{}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		if !strings.Contains(body, "```sh\n") {
			continue
		}
		seen[title] = true
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if compiled[title] && os.Getenv("TEST_LANGUAGES") == "" {
				t.Skip("takes minutes: make soak runs it, and TEST_LANGUAGES=1")
			}
			expect := want
			switch own := blockOf(body, "output"); {
			case own != "":
				expect = own
			case !compiled[title]:
				expect = ""
			}
			runLanguage(t, archive, body, expect)
		})
	}
	for title := range compiled {
		if !seen[title] {
			t.Errorf("there is no section %s", title)
		}
	}
	if len(seen) != len(compiled)+2 {
		t.Errorf("the document has %v", seen)
	}
}

var namedFile = regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```\\w+\n(.*?)```")

// blockOf is the section's code in a language, "" if it has none.
func blockOf(section, language string) string {
	_, rest, _ := strings.Cut(section, "```"+language+"\n")
	code, _, _ := strings.Cut(rest, "```")
	return code
}

// runLanguage writes a section's files and runs its commands, against a gateway of its own.
func runLanguage(t *testing.T, archive, section, want string) {
	t.Helper()
	folder := t.TempDir()
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	address := serveLong(t, program)
	for _, file := range namedFile.FindAllStringSubmatch(section, -1) {
		writeFile(t, filepath.Join(folder, file[1]), strings.ReplaceAll(file[2], "127.0.0.1:7575", address))
	}
	if err := os.Mkdir(filepath.Join(folder, "dist"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(archive, filepath.Join(folder, "dist", "protos.tar.gz")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euc", blockOf(section, "sh"))
	command.Dir = folder
	command.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":"+protocFolder(t))
	// Where Node looks for what the document has installed.
	if err := os.Symlink(absolute(t, "node/node_modules"), filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if got := escapes.ReplaceAllString(string(out), ""); err != nil || got != want {
		t.Errorf("%v: it prints\n%s\nwant\n%s\n%s", err, got, want, stderr.String())
	}
}

// escapes are Maven's colours, which it does without in a terminal of our own only.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// protocFolder is a folder with the protoc of the pinned grpcio-tools, for where the system
// has none.
func protocFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	script := "#!/bin/sh\nexec '" + absolute(t, "../.deps/python/bin/python") + "' -m grpc_tools.protoc \"$@\"\n"
	if err := execfile.Write(filepath.Join(folder, "protoc"), script); err != nil {
		t.Fatal(err)
	}
	return folder
}

// protos are the contract's files, by their names in the archive of `make dist`.
func protos(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, root := range []string{"../proto", "../third_party"} {
		for _, pattern := range []string{"*/*.proto", "*/*/*.proto", "*/*/*/*.proto"} {
			names, err := filepath.Glob(filepath.Join(root, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range names {
				name, err := filepath.Rel(root, path)
				if err != nil {
					t.Fatal(err)
				}
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				all["protos/"+filepath.ToSlash(name)] = text
			}
		}
	}
	if len(all) < 4 {
		t.Fatalf("there are only %d protos", len(all))
	}
	return all
}

// packProtos makes what `make dist` makes of the contract, without buf, which would have to
// be compiled first. TestPackages shows that it is the same.
func packProtos(t *testing.T, archive string) {
	t.Helper()
	file, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	compressed := gzip.NewWriter(file)
	packed := tar.NewWriter(compressed)
	for name, text := range protos(t) {
		if err := packed.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := packed.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, close := range []func() error{packed.Close, compressed.Close, file.Close} {
		if err := close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReceiveDefault is the first trap of docs/languages.md: what becomes of a DAT that is
// larger than gRPC receives unless it is told to.
func TestReceiveDefault(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, nil)
	conn, err := grpc.NewClient(p.addresses[viaGRPC], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	attributes, err := structpb.NewStruct(map[string]any{"builtin": "generate", "count": 2, "size": 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := gatewayv1.NewFlowServiceClient(conn).Get(t.Context(), &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Attributes: attributes}})
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the call ended with %v", err)
	}
	p.log.waitFor(t, "reason=peer_gone")
}
