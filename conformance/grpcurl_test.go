package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// call is a running grpcurl: one RPC, as an operator types it.
type call struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *json.Decoder
	stderr  *logBuffer
}

const (
	flowService    = "zio.gateway.v1.FlowService/"
	handlerService = "zio.gateway.v1.HandlerService/"
)

// grpcurl starts an RPC, of which the requests go to stdin. The test's end
// ends it.
func (p *program) grpcurl(t *testing.T, method string) *call {
	t.Helper()
	c := &call{command: p.grpcurlCommand(t, "-d", "@", p.addresses[viaGRPC], method), stderr: newLogBuffer()}
	c.command.Stderr = c.stderr
	stdout, err := c.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdout = json.NewDecoder(stdout)
	if c.stdin, err = c.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(patience, func() { _ = c.command.Process.Kill() })
	t.Cleanup(func() {
		limit.Stop()
		if c.command.ProcessState == nil {
			_ = c.command.Process.Kill()
			_ = c.command.Wait()
		}
	})
	return c
}

func (p *program) grpcurlCommand(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("grpcurl")
	if err != nil {
		t.Fatalf("%v: run `scripts/setup.sh test` and `. scripts/env.sh`", err)
	}
	return exec.Command(path, append([]string{"-plaintext"}, arguments...)...)
}

// say writes a request.
func (c *call) say(t *testing.T, request string) {
	t.Helper()
	if _, err := io.WriteString(c.stdin, request+"\n"); err != nil {
		t.Fatalf("grpcurl takes no more requests: %v\n%s", err, c.stderr.text())
	}
}

// ask writes the only request, or the last one.
func (c *call) ask(t *testing.T, request string) {
	t.Helper()
	c.say(t, request)
	if err := c.stdin.Close(); err != nil {
		t.Fatal(err)
	}
}

// hear reads a response.
func (c *call) hear(t *testing.T, response proto.Message) {
	t.Helper()
	var text json.RawMessage
	if err := c.stdout.Decode(&text); err != nil {
		t.Fatalf("grpcurl printed no response: %v\n%s", err, c.stderr.text())
	}
	if err := protojson.Unmarshal(text, response); err != nil {
		t.Fatalf("grpcurl printed %s: %v", text, err)
	}
}

// hearAll reads the remaining responses of an Open and describes them. It wants
// the RPC to succeed.
func (c *call) hearAll(t *testing.T) (heard []string) {
	t.Helper()
	for c.stdout.More() {
		var response gatewayv1.OpenResponse
		c.hear(t, &response)
		heard = append(heard, describeResponse(&response))
	}
	c.end(t, 0, "")
	return heard
}

// end waits for grpcurl to exit. Its code is 64 more than the gRPC status.
func (c *call) end(t *testing.T, code int, words string) {
	t.Helper()
	rest, err := io.ReadAll(c.stdout.Buffered())
	if err != nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("grpcurl printed more: %s (%v)", rest, err)
	}
	_ = c.command.Wait() // the code says it all
	if got := c.command.ProcessState.ExitCode(); got != code || !strings.Contains(c.stderr.text(), words) {
		t.Errorf("grpcurl exited with %d, want %d, and printed %q, want %q in it", got, code, c.stderr.text(), words)
	}
}

func describeResponse(r *gatewayv1.OpenResponse) string {
	switch m := r.GetMessage().(type) {
	case *gatewayv1.OpenResponse_Bot:
		return fmt.Sprintf("bot %v %d", m.Bot.GetDirection(), m.Bot.GetCredit())
	case *gatewayv1.OpenResponse_Pay:
		return fmt.Sprintf("pay %d", m.Pay.GetCredit())
	case *gatewayv1.OpenResponse_Dat:
		return fmt.Sprintf("dat %v", m.Dat.GetPayload())
	case *gatewayv1.OpenResponse_Eot:
		return fmt.Sprintf("eot %v", m.Eot.GetReason())
	default:
		return "nothing"
	}
}

func wantHeard(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("grpcurl printed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestGrpcurlReflection: services and methods explain themselves.
func TestGrpcurlReflection(t *testing.T) {
	p := serve(t, nil, nil)
	for _, c := range []struct {
		arguments []string
		want      []string
	}{
		{[]string{"list"}, []string{
			"zio.gateway.v1.FlowService\n", "zio.gateway.v1.HandlerService\n", "grpc.health.v1.Health\n", "grpc.reflection.v1.ServerReflection\n"}},
		{[]string{"list", "zio.gateway.v1.FlowService"}, []string{"FlowService.Open\n", "FlowService.Put\n", "FlowService.Get\n"}},
		{[]string{"describe", "zio.gateway.v1.HandlerService"}, []string{
			"rpc Listen ( .zio.gateway.v1.ListenRequest ) returns ( stream .zio.gateway.v1.ListenResponse );", "rpc Decline"}},
		{[]string{"describe", ".zio.gateway.v1.Bot"}, []string{"uint64 cid =", ".google.protobuf.Struct attributes ="}},
		{[]string{"grpc.health.v1.Health/Check"}, []string{`"status": "SERVING"`}},
	} {
		arguments := append([]string{p.addresses[viaGRPC]}, c.arguments...)
		out, err := p.grpcurlCommand(t, arguments...).CombinedOutput()
		if err != nil {
			t.Errorf("grpcurl %v: %v\n%s", c.arguments, err, out)
		}
		for _, want := range c.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("grpcurl %v printed\n%s\nwant %q in it", c.arguments, out, want)
			}
		}
	}
}

// TestGrpcurlBuiltin takes from generate, gives to dump, and takes message by
// message, without any handler.
func TestGrpcurlBuiltin(t *testing.T) {
	p := serve(t, nil, nil)
	t.Run("Get", func(t *testing.T) {
		c := p.grpcurl(t, flowService+"Get")
		c.ask(t, `{"bot":{"credit":2,"attributes":{"builtin":"generate","count":3,"size":4}}}`)
		// A GetResponse has an OpenResponse's fields but for the numbers.
		wantHeard(t, c.hearAll(t), "bot DIRECTION_EXTRACT 2",
			"dat [[0 1 2 3]]", "dat [[1 2 3 4]]", "dat [[2 3 4 5]]", "eot END_REASON_COMPLETED")
	})
	t.Run("Put", func(t *testing.T) {
		c := p.grpcurl(t, flowService+"Put")
		c.say(t, `{"bot":{"label":"{\"builtin\":\"dump\"}","credit":"2"}}`)
		c.ask(t, strings.Repeat(`{"dat":{"payload":["AAEC","","/w=="],"label":"{\"n\":1}"}}`, 5))
		var response gatewayv1.PutResponse
		c.hear(t, &response)
		if response.GetMessages() != 5 || response.GetBytes() != 20 || response.GetBot().GetCredit() != 2 ||
			response.GetReason() != gatewayv1.EndReason_END_REASON_COMPLETED || response.GetTakenBy().GetRoute() != "dump" {
			t.Errorf("Put answered %v, want 5 messages with 20 bytes, credit 2, completed by dump", &response)
		}
		c.end(t, 0, "")
	})
	t.Run("Open", func(t *testing.T) {
		c := p.grpcurl(t, flowService+"Open")
		c.say(t, `{"bot":{"direction":"DIRECTION_INJECT","credit":3,"attributes":{"builtin":"generate","count":100,"size":2}}}`)
		c.ask(t, `{"pay":{"credit":2}}`)
		wantHeard(t, c.hearAll(t), "bot DIRECTION_EXTRACT 3", "dat [[0 1]]", "dat [[1 2]]", "eot END_REASON_COMPLETED")
	})
	t.Run("error", func(t *testing.T) {
		c := p.grpcurl(t, flowService+"Get")
		c.ask(t, `{"bot":{"attributes":{"builtin":"generate","size":-1}}}`)
		c.end(t, 64+9, `"domain": "gateway.zioflow"`)
	})
}

// TestGrpcurlHandler serves one flow and declines another, with grpcurl on all
// sides.
func TestGrpcurlHandler(t *testing.T) {
	p := serve(t, nil, nil)
	listener := p.grpcurl(t, handlerService+"Listen")
	listener.ask(t, `{"name":"shell","match":"attributes.stream == 'raw' && direction == 'inject'"}`)
	next := func() *gatewayv1.ListenResponse {
		var event gatewayv1.ListenResponse
		listener.hear(t, &event)
		return &event
	}
	if event := next(); event.GetListening().GetListenerId() == 0 {
		t.Fatalf("Listen began with %v, want `listening`", event)
	}
	const bot = `{"bot":{"direction":"DIRECTION_EXTRACT","credit":3,"attributes":{"stream":"raw"}}}`

	client := p.grpcurl(t, flowService+"Open")
	client.say(t, bot)
	offer := next().GetOffer()
	if offer.GetPeer().GetTransport() != "grpc" || offer.GetBot().GetDirection() != gatewayv1.Direction_DIRECTION_INJECT {
		t.Errorf("the offer is %v, want a gRPC client's, in which the handler takes", offer)
	}
	handler := p.grpcurl(t, flowService+"Open")
	handler.say(t, fmt.Sprintf(`{"bot":{"cid":"%d","direction":"DIRECTION_INJECT","credit":2,"attributes":{"who":"me"}}}`, offer.GetCid()))
	handler.ask(t, `{"pay":{"credit":2}}`)
	var answer gatewayv1.OpenResponse
	client.hear(t, &answer)
	if who := answer.GetBot().GetAttributes().GetFields()["who"].GetStringValue(); who != "me" || answer.GetBot().GetCredit() != 2 {
		t.Errorf("the client was answered %v, want the handler's attribute and credit 2", &answer)
	}
	var pay gatewayv1.OpenResponse
	client.hear(t, &pay)
	wantHeard(t, []string{describeResponse(&pay)}, "pay 2")
	client.ask(t, `{"dat":{"payload":["AQID"]}}`)
	wantHeard(t, client.hearAll(t), "eot END_REASON_COMPLETED")
	heard := handler.hearAll(t)
	if last := heard[len(heard)-1]; last == "eot END_REASON_UNSPECIFIED" { // came before grpcurl had ended its requests
		heard[len(heard)-1] = "eot END_REASON_COMPLETED"
	}
	wantHeard(t, heard, "bot DIRECTION_EXTRACT 2", "dat [[1 2 3]]", "eot END_REASON_COMPLETED")

	client = p.grpcurl(t, flowService+"Open")
	client.say(t, bot)
	cid := next().GetOffer().GetCid()
	decline := func(code int, words string) {
		c := p.grpcurl(t, handlerService+"Decline")
		c.ask(t, fmt.Sprintf(`{"cid":"%d","detail":"no room"}`, cid))
		if code == 0 {
			c.hear(t, new(gatewayv1.DeclineResponse))
		}
		c.end(t, code, words)
	}
	decline(0, "")
	_ = client.stdin.Close()
	client.end(t, 64+9, `"reason": "REJECTED"`)
	if event := next(); event.GetWithdrawn().GetCid() != cid {
		t.Errorf("the listener was told %v, want %d withdrawn", event, cid)
	}
	decline(64+5, "no offer has this cid")
}
