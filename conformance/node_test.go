package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"testing"
	"time"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// nodePeer is what node/peer.mjs is told: a native peer with libzmq 4.3.5 and a
// codec that is not the gateway's.
type nodePeer struct {
	Socket     string         `json:"socket"`
	Address    string         `json:"address"`
	Direction  string         `json:"direction"`
	Credit     int            `json:"credit"`
	CID        uint64         `json:"cid,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Count      int            `json:"count"`
	Ends       bool           `json:"ends"`
	Pattern    string         `json:"pattern"`
	Size       int            `json:"size"`
}

// nodeResult is what it has seen.
type nodeResult struct {
	Bot        map[string]any `json:"bot"`
	BotPayload []int          `json:"botPayload"`
	Credit     int            `json:"credit"`
	Messages   int            `json:"messages"`
	Bytes      int            `json:"bytes"`
	SHA256     string         `json:"sha256"`
	EOT        map[string]any `json:"eot"`
}

// nodeRun is a running peer.
type nodeRun struct {
	command *exec.Cmd
	stdout  bytes.Buffer
	stderr  bytes.Buffer
}

func startNode(t *testing.T, peer nodePeer) *nodeRun {
	t.Helper()
	if _, err := os.Stat("node/node_modules/zeromq"); err != nil {
		t.Fatalf("%v: run `scripts/setup.sh test`", err)
	}
	config, err := json.Marshal(peer)
	if err != nil {
		t.Fatal(err)
	}
	r := &nodeRun{command: exec.Command("node", "peer.mjs", string(config))}
	r.command.Dir = "node"
	r.command.Stdout, r.command.Stderr = &r.stdout, &r.stderr
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(3*patience, func() { _ = r.command.Process.Kill() })
	t.Cleanup(func() {
		limit.Stop()
		if r.command.ProcessState == nil {
			_ = r.command.Process.Kill()
			_ = r.command.Wait()
		}
	})
	return r
}

func (r *nodeRun) result(t *testing.T) (result nodeResult) {
	t.Helper()
	if err := r.command.Wait(); err != nil {
		t.Fatalf("node %s: %v\n%s", r.command.Args[2], err, r.stderr.String())
	}
	if err := json.Unmarshal(r.stdout.Bytes(), &result); err != nil {
		t.Fatalf("node %s printed %q: %v", r.command.Args[2], r.stdout.String(), err)
	}
	return result
}

// nodeSockets are the sockets that node/peer.mjs can use.
var nodeSockets = map[string]transportName{"client": viaClient, "dealer": viaDealer}

// TestNodeBuiltin has Node's ZeroMQ take from generate and give to dump.
func TestNodeBuiltin(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"--default-routes"}, nil)
	for socket, via := range nodeSockets {
		for _, ends := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s takes, and ends %t", socket, ends), func(t *testing.T) {
				const count, size = 100, 70_000
				offered := count
				if ends {
					offered = 1_000_000
				}
				got := startNode(t, nodePeer{
					Socket: socket, Address: p.addresses[via], Direction: "inject", Credit: 7, Ends: ends,
					Count: count, Pattern: "generate", Size: size, Attributes: map[string]any{"count": offered, "size": size},
				}).result(t)
				if got.Messages != count || got.Bytes != count*size || got.Credit != 7 || got.Bot["direction"] != "extract" {
					t.Errorf("node took %+v, want %d messages of %d bytes, credit 7, from one who extracts", got, count, size)
				}
			})
		}
		t.Run(socket+" gives", func(t *testing.T) {
			got := startNode(t, nodePeer{
				Socket: socket, Address: p.addresses[via], Direction: "extract", Credit: 5, Ends: true, Count: 300, Pattern: "mixed",
			}).result(t)
			if got.Messages != 300 || got.Credit != 5 || got.Bot["direction"] != "inject" {
				t.Errorf("node gave %+v, want 300 messages, credit 5, to one who injects", got)
			}
			p.log.waitFor(t, fmt.Sprintf("messages=%d bytes=%d gaps=0", got.Messages, got.Bytes))
		})
	}
}

// TestNodePairing has Node's peers exchange data with each other, through a
// listener. The handler is started when the offer is there.
func TestNodePairing(t *testing.T) {
	p := serve(t, []string{"--default-routes"}, nil)
	l := p.listen(t, &gatewayv1.ListenRequest{Name: "node", Match: "attributes.for == 'node'"})
	ends := false
	for clientSocket, clientVia := range nodeSockets {
		for handlerSocket, handlerVia := range nodeSockets {
			for _, directions := range [][2]string{{"extract", "inject"}, {"inject", "extract"}} {
				t.Run(fmt.Sprintf("%s to %s, %s", clientSocket, handlerSocket, directions[0]), func(t *testing.T) {
					words := map[string]any{"for": "node", "run": "ü"}
					client := startNode(t, nodePeer{
						Socket: clientSocket, Address: p.addresses[clientVia], Direction: directions[0], Credit: 10,
						Ends: ends, Count: 200, Pattern: "mixed", Attributes: words,
					})
					offer := l.offer(t)
					if got := offer.GetBot().GetPayload(); len(got) != 2 || string(got[0]) != "hello" {
						t.Errorf("the offer's payload is %q, want hello and another part", got)
					}
					handler := startNode(t, nodePeer{
						Socket: handlerSocket, Address: p.addresses[handlerVia], Direction: directions[1], Credit: 4,
						CID: offer.GetCid(), Ends: !ends, Count: 200, Pattern: "mixed", Attributes: map[string]any{"answer": 42},
					})
					atClient, atHandler := client.result(t), handler.result(t)
					if atClient.Messages != 200 || atClient.SHA256 != atHandler.SHA256 || atClient.Bytes != atHandler.Bytes {
						t.Errorf("client saw %+v, handler %+v, want the same 200 messages", atClient, atHandler)
					}
					checkNodeBot(t, "client", atClient, directions[1])
					checkNodeBot(t, "handler", atHandler, directions[0])
				})
				ends = !ends
			}
		}
	}
}

// checkNodeBot: both sides see the handler's BOT, without cid.
func checkNodeBot(t *testing.T, who string, got nodeResult, direction string) {
	t.Helper()
	want := map[string]any{"flow": "BOT", "direction": direction, "credit": 4.0, "answer": 42.0}
	if !reflect.DeepEqual(got.Bot, want) || !reflect.DeepEqual(got.BotPayload, []int{5, 300}) {
		t.Errorf("the %s's BOT is %v with parts %v, want %v with [5 300]", who, got.Bot, got.BotPayload, want)
	}
	if !reflect.DeepEqual(got.EOT, map[string]any{"flow": "EOT"}) {
		t.Errorf("the %s's EOT is %v, want no error", who, got.EOT)
	}
}
