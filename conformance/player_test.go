package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/conformance/play"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// builtPlayer builds the command as others do: without cgo and libzmq.
var builtPlayer = sync.OnceValues(func() (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "conformance")
	build := exec.Command("go", "build", "-o", path, "github.com/zioflow/gateway/conformance")
	build.Env = append(build.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return path, nil
})

// runPlayer runs the command, and returns its output and exit code.
func runPlayer(t *testing.T, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := builtPlayer()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	var out, bad bytes.Buffer
	command := exec.CommandContext(ctx, path, arguments...)
	command.Stdout, command.Stderr = &out, &bad
	err = command.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), bad.String(), command.ProcessState.ExitCode()
}

// TestPlayer: a gateway as it is started by everybody keeps every rule that can be looked
// at from outside, and the others are named with what they need.
func TestPlayer(t *testing.T) {
	t.Parallel()
	gateway := serve(t, nil, nil)
	ready := gateway.readAddresses(t)
	out, bad, code := runPlayer(t, "--json", "--short", "--engine", engine(), "--patience", "20s",
		"--zmq-server", ready.ZMQServer[0], "--zmq-router", ready.ZMQRouter[0], "--grpc", ready.GRPC)
	var report play.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("exit %d: %v\n%s\n%s", code, err, out, bad)
	}
	for _, f := range report.Failures {
		t.Errorf("%s:%d: %s, %s\nwant  %s\ngot   %s\n%s", f.File, f.Line, f.Scenario, f.Transports, f.Want, f.Got, f.Reason)
	}
	if code != 0 || report.Count(play.Failed) != 0 || len(report.Notes) != 0 {
		t.Errorf("exit %d, notes %v\n%s", code, report.Notes, bad)
	}
	for _, rule := range report.Rules {
		if rule.Result == play.Skipped && !strings.HasPrefix(rule.Because[0], "is for a broker with ") {
			t.Errorf("%s was skipped because it %s", rule.ID, rule.Because[0])
		}
	}
	if n := report.Count(play.Passed); n < 45 {
		t.Errorf("only %d rules were looked at", n)
	}
}

// TestPlayerWithoutGRPC: where there is no gRPC, what ZIO itself offers is played, and it
// is said what was not looked at.
func TestPlayerWithoutGRPC(t *testing.T) {
	t.Parallel()
	gateway := serve(t, nil, nil)
	out, bad, code := runPlayer(t, "--zmq-router", gateway.readAddresses(t).ZMQRouter[0], "--run", "MSG-")
	for _, want := range []string{
		`(?m)^MSG-8 +passed +1$`, `(?m)^MSG-5 +skipped +needs --zmq-server$`, `MSG-4 +skipped +needs --zmq-server, and \d more`,
		`note: why flows ended, .* was not looked at`, `\d+ rules passed, 0 failed, \d+ skipped`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the output has no %q", want)
		}
	}
	if code != 0 || t.Failed() {
		t.Errorf("exit %d:\n%s%s", code, out, bad)
	}
}

// TestPlayerFindsFault: a broker that breaks one rule is told which, where, and how.
func TestPlayerFindsFault(t *testing.T) {
	t.Parallel()
	gateway := serve(t, nil, nil)
	broken := breakPAYs(t, gateway.readAddresses(t).GRPC)
	out, bad, code := runPlayer(t, "--grpc", broken, "--run", `^page\.txt$`)
	for _, want := range []string{
		`BRK-4 +failed +1 of 4 failed`, `(?m)^BRK-1 +passed +2$`, `10 rules passed, 1 failed, 1 skipped`, `(?m)^FLOW-7 +passed +1$`,
		`page\.txt:\d+: a PAY crosses byte for byte, its spacing too, gRPC to gRPC \(BRK-4\)
  step   c< \{ "flow" : "PAY", "credit" : 2, "note" : \[ 1, 2 \] \}
  want   \{ "flow" : "PAY", "credit" : 2, "note" : \[ 1, 2 \] \}
  got    \{"flow":"PAY","credit":2,"note":\[1,2\]\} seqno 1 origin 0 granule \d+ level 0
  the label differs`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the output has no %q", want)
		}
	}
	if code != 1 || t.Failed() {
		t.Errorf("exit %d:\n%s%s", code, out, bad)
	}
}

// TestPlayerUse: what cannot be done is said, with an exit code of its own.
func TestPlayerUse(t *testing.T) {
	t.Parallel()
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := unused.Addr().String()
	_ = unused.Close()
	for want, arguments := range map[string][]string{
		"want at least one of --zmq-server, --zmq-router and --grpc": nil,
		"--grpc " + nobody:                         {"--grpc", nobody, "--patience", "2s"},
		"--zmq-router tcp://" + nobody:             {"--zmq-router", "tcp://" + nobody, "--patience", "2s"},
		"run: error parsing regexp":                {"--grpc", nobody, "--run", "("},
		"patience is 0s":                           {"--grpc", nobody, "--patience", "0s"},
		"curve-server and curve-key need each oth": {"--grpc", nobody, "--curve-key", "x"},
		"token-file needs tls-ca":                  {"--grpc", nobody, "--token-file", "x"},
		"unknown flag --no":                        {"--no"},
	} {
		if out, bad, code := runPlayer(t, arguments...); code != 2 || !strings.Contains(bad, want) || out != "" {
			t.Errorf("%q: exit %d, %s%s\nwant %s", arguments, code, out, bad, want)
		}
	}
	if out, bad, code := runPlayer(t, "--list", "--run", "^BRK-9$"); code != 0 || out != "refusals.txt:"+regexp.MustCompile(`\d+`).FindString(out)+": a BOT that is sent again while pending (BRK-9)\n" {
		t.Errorf("--list: exit %d, %s%s", code, out, bad)
	}
}

// TestPlayerDocument runs what docs/conformance-player.md prints, against a gateway at
// other ports.
func TestPlayerDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/conformance-player.md")
	if err != nil {
		t.Fatal(err)
	}
	path, err := builtPlayer()
	if err != nil {
		t.Fatal(err)
	}
	ready := serve(t, nil, nil).readAddresses(t)
	here := strings.NewReplacer("go run ./conformance", path, "tcp://127.0.0.1:5555", ready.ZMQServer[0],
		"tcp://127.0.0.1:5556", ready.ZMQRouter[0], "127.0.0.1:7575", ready.GRPC)
	blocks := consoleBlocks(string(text))
	if len(blocks) < 3 {
		t.Fatalf("found only %d console blocks", len(blocks))
	}
	for _, b := range blocks {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		command := exec.CommandContext(ctx, "bash", "-c", here.Replace(b.command))
		command.Dir = ".."
		out, _ := command.CombinedOutput() // that of those that fail is printed as well
		cancel()
		if want := strings.Join(b.output, "\n") + "\n"; string(out) != want {
			t.Errorf("%s\nis to print\n%s\nbut prints\n%s", b.command, want, out)
		}
	}
}

// TestPlayerOptions: scenarios for a broker that was started otherwise are played where it
// is said that it was, and only those.
func TestPlayerOptions(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/conformance-player.md")
	if err != nil {
		t.Fatal(err)
	}
	printed := regexp.MustCompile(`(?m)^    bin/gateway serve (.*)\n    go run \./conformance --zmq-server \S+ --options "(.*)"$`).FindSubmatch(text)
	if printed == nil {
		t.Fatal("the page has no such example")
	}
	ready := serve(t, strings.Fields(string(printed[1])), nil).readAddresses(t)
	out, bad, code := runPlayer(t, "--zmq-server", ready.ZMQServer[0], "--options", string(printed[2]))
	for _, want := range []string{`(?m)^FLOW-3 +passed +1$`, `(?m)^FLOW-2 +passed +1$`, `(?m)^FLOW-1 +skipped +.*is for a broker `, `\n2 rules passed, 0 failed`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the output has no %q", want)
		}
	}
	if code != 0 || t.Failed() {
		t.Errorf("exit %d:\n%s%s", code, out, bad)
	}
}

// breakPAYs serves what a gateway serves over gRPC, but writes the labels of PAYs anew.
func breakPAYs(t *testing.T, gateway string) (address string) {
	t.Helper()
	conn, err := grpc.NewClient(gateway, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(frames{})))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodec(frames{}), grpc.UnknownServiceHandler(func(_ any, in grpc.ServerStream) error {
		return passOn(in, conn)
	}))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := errors.Join(<-served, conn.Close()); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// frames is a codec that leaves messages encoded.
type frames struct{}

func (frames) Name() string                    { return "proto" }
func (frames) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (frames) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }

// passOn passes a call on to the gateway, and what comes back to the caller.
func passOn(in grpc.ServerStream, conn *grpc.ClientConn) error {
	method, _ := grpc.MethodFromServerStream(in)
	ctx, cancel := context.WithCancel(in.Context())
	sent := metadata.MD{}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		sent = md.Copy()
	}
	out, err := conn.NewStream(metadata.NewOutgoingContext(ctx, sent), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		cancel()
		return err
	}
	defer cancel()
	go func() { // until the handler returns
		var m []byte
		for in.RecvMsg(&m) == nil && out.SendMsg(&m) == nil {
			m = nil
		}
		_ = out.CloseSend()
	}()
	return answer(in, out, method)
}

func answer(in grpc.ServerStream, out grpc.ClientStream, method string) error {
	if header, err := out.Header(); err == nil && method == gatewayv1.AdminService_WatchFlows_FullMethodName {
		if err := in.SendHeader(header); err != nil {
			return err
		}
	}
	for {
		var m []byte
		if err := out.RecvMsg(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if method == gatewayv1.FlowService_Open_FullMethodName {
			m = rewritten(m)
		}
		if err := in.SendMsg(&m); err != nil {
			return err
		}
	}
}

// rewritten is a response with its PAY's label written anew.
func rewritten(m []byte) []byte {
	var response gatewayv1.OpenResponse
	if proto.Unmarshal(m, &response) != nil || response.GetPay() == nil {
		return m
	}
	var label bytes.Buffer
	if json.Compact(&label, []byte(response.GetPay().GetLabel())) != nil {
		return m
	}
	response.GetPay().Label = label.String()
	again, _ := proto.Marshal(&response)
	return again
}
