package main_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/zioflow/gateway/gateway"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
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
	c := gateway.DefaultConfig()
	c.ZMQ.Servers, c.ZMQ.Routers, c.GRPC.Addresses, c.HTTP.Address, c.Node.Name = nil, nil, []string{"127.0.0.1:0"}, "", "none"
	address := runGateway(t, c).Addresses().GRPC
	return &document{
		t: t, ctx: ctx, root: root, addresses: strings.NewReplacer("127.0.0.1:7575", address),
		cids: map[string]string{}, terminals: map[string]*terminal{},
	}
}

// TestRoutesDocumentNamesAll: the document has every operator, variable and key.
func TestRoutesDocumentNamesAll(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "routes.md"))
	if err != nil {
		t.Fatal(err)
	}
	prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(string(text), "")
	words := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(prose, -1)
	route := new(gatewayv1.Route).ProtoReflect().Descriptor()
	for _, want := range append(fieldsOf(route), []string{
		"and", "&", "or", `\|`, "=", "==", "eq", "!=", "ne", "<", "lt", "<=", "le", ">", "gt", ">=", "ge", "+", "add", "-", "sub", "*", "mul",
		"attributes", "direction", "credit", "peer.transport", "peer.address", "peer.identity", "peer.name",
		"rules_file",
		"ZIO_GATEWAY_CID", "ZIO_GATEWAY_FLOW", "ZIO_GATEWAY_ZMQ_SERVER", "ZIO_GATEWAY_ZMQ_ROUTER", "ZIO_GATEWAY_GRPC",
	}...) {
		if !slices.ContainsFunc(words, func(w []string) bool { return w[1] == want }) {
			t.Errorf("docs/routes.md does not name `%s`", want)
		}
	}
}

// fieldsOf are the fields of a route and of the kinds of its factory, by their names.
func fieldsOf(m protoreflect.MessageDescriptor) (names []string) {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		names = append(names, string(f.Name()))
		if f.Message() != nil && f.ContainingOneof() != nil {
			names = append(names, fieldsOf(f.Message())...)
		}
	}
	return names
}
