package conformance_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/server"
)

var fileFence = regexp.MustCompile("(?s)<!-- file (\\S+) -->\n```\\w+\n(.*?)```")

// operated is the terminal whose commands need a gateway that can be operated.
const operated = "9"

// TestRoutesDocument runs docs/routes.md: a gateway with the files that it shows,
// and the console blocks as printed.
func TestRoutesDocument(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "routes.md"))
	if err != nil {
		t.Fatal(err)
	}
	path, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	files := fileFence.FindAllStringSubmatch(string(text), -1)
	for _, f := range files {
		content := strings.ReplaceAll(f[2], "[bin/gateway,", "["+path+",")
		if err := os.WriteFile(filepath.Join(folder, f[1]), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p := serve(t, []string{"--config", filepath.Join(folder, "routes.yaml")}, nil)
	doc, admin := documentOf(ctx, t, root, p), operatedDocument(ctx, t, root)
	blocks := consoleBlocks(string(text))
	if len(files) != 2 || len(blocks) < 5 {
		t.Fatalf("found %d files and %d console blocks", len(files), len(blocks))
	}
	for _, b := range blocks {
		if b.terminal == operated {
			admin.run(b)
		} else {
			doc.run(b)
		}
	}
	p.log.waitFor(t, "command: zmq-server took 1000 messages, 65536000 bytes")
	for _, d := range []string{`flow=1 route="raw data" stream=stdout`, `route=depos`} {
		if !strings.Contains(p.log.text(), d) {
			t.Errorf("the log has no %s:\n%s", d, p.log.text())
		}
	}
}

// operatedDocument follows a document against a gateway with the AdminService's
// routes and nothing else to operate.
func operatedDocument(ctx context.Context, t *testing.T, root string) *document {
	t.Helper()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, slog.New(slog.DiscardHandler))
	if err := handlers.AddRoutes(); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := server.DefaultOptions(b.Options())
	o.Process, o.Routes = noProcess{}, server.RouteOptions{Maker: routes.Maker{Builtin: handlers}}
	front := server.New(b, o)
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()
	t.Cleanup(func() {
		b.Close(flow.Draining, "the test is over")
		handlers.Wait()
		stop, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		front.Stop(stop)
		if err := errors.Join(stop.Err(), <-served); err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	return &document{
		t: t, ctx: ctx, root: root, addresses: strings.NewReplacer("127.0.0.1:7575", listener.Addr().String()),
		cids: map[string]string{}, terminals: map[string]*terminal{},
	}
}

// noProcess is a server.Process of which nothing is asked.
type noProcess struct{ server.Process }

// TestRoutesDocumentNamesAll: the document has every operator, variable and key.
func TestRoutesDocumentNamesAll(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "routes.md"))
	if err != nil {
		t.Fatal(err)
	}
	prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(string(text), "")
	words := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(prose, -1)
	for _, want := range []string{
		"and", "&", "or", `\|`, "=", "==", "eq", "!=", "ne", "<", "lt", "<=", "le", ">", "gt", ">=", "ge", "+", "add", "-", "sub", "*", "mul",
		"attributes", "direction", "credit", "peer.transport", "peer.address", "peer.identity", "peer.name",
		"name", "match", "rules", "rules_file", "priority", "max_credit", "builtin", "listener", "exec", "max_processes", "max_time",
		"connect", "address", "node", "port", "server_key", "max_flows",
		"ZIO_GATEWAY_CID", "ZIO_GATEWAY_FLOW", "ZIO_GATEWAY_ZMQ_SERVER", "ZIO_GATEWAY_ZMQ_ROUTER", "ZIO_GATEWAY_GRPC",
	} {
		if !slices.ContainsFunc(words, func(w []string) bool { return w[1] == want }) {
			t.Errorf("docs/routes.md does not name `%s`", want)
		}
	}
}
