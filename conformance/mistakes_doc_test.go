package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// documentedMistake is a row of docs/mistakes.md. A row more there is a test more.
type documentedMistake struct{ what, command, says string }

var (
	documentedRow = regexp.MustCompile("(?m)^\\| ([^|]+) \\| `([^`]+)` \\| `([^`]+)` \\|$")
	// varyingNumber is what differs from one run to another.
	varyingNumber = regexp.MustCompile(`\b(flow|process|not) \d+`)
)

// documentedMistakes are those of the table behind a mark.
func documentedMistakes(t *testing.T, text, mark string) (rows []documentedMistake) {
	t.Helper()
	_, text, _ = strings.Cut(text, "<!-- "+mark+" -->\n")
	table, _, _ := strings.Cut(strings.TrimSpace(text), "\n\n")
	for _, row := range documentedRow.FindAllStringSubmatch(table, -1) {
		rows = append(rows, documentedMistake{row[1], row[2], row[3]})
	}
	if headings := strings.Count(table, " | | |"); len(rows)+2+headings != strings.Count(table, "\n")+1 || len(rows) < 5 {
		t.Fatalf("%s: %d rows are read of %d lines", mark, len(rows), strings.Count(table, "\n")+1)
	}
	return rows
}

// TestDocumentedMistakes makes every mistake of docs/mistakes.md.
func TestDocumentedMistakes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "mistakes.md"))
	if err != nil {
		t.Fatal(err)
	}
	at := newMistakeFolder(t, string(text))
	for _, m := range documentedMistakes(t, string(text), "commands") {
		t.Run(m.what+" "+m.command, func(t *testing.T) {
			t.Parallel()
			if got := at.run(t, m.command); got != m.says {
				t.Errorf("%s\nsays\n%s\nthe document has\n%s", m.command, got, m.says)
			}
		})
	}
	for _, m := range documentedMistakes(t, string(text), "log") {
		t.Run("log "+m.what, func(t *testing.T) {
			t.Parallel()
			at.run(t, m.command)
			at.one.log.waitFor(t, "detail="+strconv.Quote(m.says))
		})
	}
}

// mistakeFolder is a folder in which the mistakes are made.
type mistakeFolder struct {
	one             *program
	path            string
	environment     []string
	toReal, toPaper *strings.Replacer // addresses
}

func newMistakeFolder(t *testing.T, text string) *mistakeFolder {
	t.Helper()
	at := &mistakeFolder{path: t.TempDir()}
	for _, f := range fileFence.FindAllStringSubmatch(text, -1) {
		writeFile(t, filepath.Join(at.path, f[1]), f[2])
	}
	built, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(built, filepath.Join(at.path, "gateway")); err != nil {
		t.Fatal(err)
	}
	at.environment = slices.Concat(gatewayCommand(t, patience, nil, nil).Env, []string{"PATH=" + at.path + ":" + os.Getenv("PATH")})
	for _, folder := range []string{"keys", "other"} {
		script := fmt.Sprintf("gateway keygen server %s && (echo identities: && gateway keygen identity --role client %s alice && "+
			"echo \"jwt: [{issuer: 'http://127.0.0.1:1', jwks: 'http://127.0.0.1:1/keys', audience: gateway, name-prefix: 'jwt:'}]\") >%s/identities.yaml", folder, folder, folder)
		if out, err := at.shell(t.Context(), script).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	key := func(name string) string { return filepath.Join(at.path, "keys", name) }
	at.one = serve(t, []string{"--max-message=100000", "--handler-wait=100ms"}, nil)
	secured := serve(t, []string{"--identities=" + key("identities.yaml"), "--tls-cert=" + key("server.pem"), "--tls-key=" + key("server.key"), "--zmq-curve-key=" + key("server.curve")}, nil)
	drained := serve(t, nil, nil)
	operator, err := zioflow.Dial(drained.addresses[viaGRPC])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = operator.Close() }()
	if _, err := operator.Admin().Drain(t.Context(), &gatewayv1.DrainRequest{}); err != nil {
		t.Fatal(err)
	}
	var toReal, toPaper []string
	for i, p := range []*program{at.one, secured, drained} {
		for port, address := range map[int]string{7575: p.addresses[viaGRPC], 7576: p.http, 5555: p.addresses[viaClient], 5556: p.addresses[viaDealer]} {
			printed, actual := fmt.Sprintf("127.0.0.1:%d", port+10*i), strings.TrimPrefix(address, "tcp://")
			toReal, toPaper = append(toReal, printed, actual), append(toPaper, actual, printed)
		}
	}
	at.toReal, at.toPaper = strings.NewReplacer(toReal...), strings.NewReplacer(toPaper...)
	return at
}

func (at *mistakeFolder) shell(ctx context.Context, script string) *exec.Cmd {
	c := exec.CommandContext(ctx, "bash", "-c", script)
	c.Dir, c.Env = at.path, at.environment
	return c
}

// run is the last line that a command prints, which has to fail, as the document has it.
func (at *mistakeFolder) run(t *testing.T, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := at.shell(ctx, "exec "+at.toReal.Replace(command)).CombinedOutput()
	if err == nil {
		return "nothing: it succeeds"
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return varyingNumber.ReplaceAllStringFunc(at.toPaper.Replace(lines[len(lines)-1]), func(s string) string {
		word, _, _ := strings.Cut(s, " ")
		return word + map[string]string{"flow": " 7", "process": " 4711", "not": " 582"}[word]
	})
}
