package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// stopLimit is how long an orderly stop may take.
const stopLimit = 5 * time.Second

// TestReady: line and file name the same real addresses, and all are served.
func TestReady(t *testing.T) {
	ipc := "ipc://" + t.TempDir() + "/server"
	p := serve(t, []string{"--default-routes", "--zmq-server=" + ipc}, nil)
	file := p.readAddresses(t)
	if len(file.ZMQServer) != 2 || file.ZMQServer[1] != ipc || len(file.ZMQRouter) != 1 {
		t.Fatalf("the ready file has %+v, want two addresses for CLIENT, the second %s, and one for DEALER", file, ipc)
	}
	for _, address := range []string{file.ZMQServer[0], file.ZMQRouter[0], file.GRPC, file.HTTP} {
		if !strings.Contains(address, "127.0.0.1:") || strings.HasSuffix(address, ":0") || strings.HasSuffix(address, "*") {
			t.Errorf("%s is not a real address of the loopback interface", address)
		}
	}
	want := fmt.Sprintf("ready: zmq-server %s,%s  zmq-router %s  grpc %s  http %s",
		file.ZMQServer[0], ipc, file.ZMQRouter[0], file.GRPC, file.HTTP)
	if p.ready != want {
		t.Errorf("the ready line is\n%q, want\n%q", p.ready, want)
	}

	for via, address := range map[transportName]string{viaClient: ipc, viaDealer: file.ZMQRouter[0], viaGRPC: file.GRPC} {
		client := dialAt(t, via, address)
		mustSend(t, client, botMessage(zio.Inject, 2, 0)) // the default routes are there
		mustRecv(t, client, zio.BOT)
	}
	if code, body := p.health(t); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz answers %d %q, want 200 ok", code, body)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t, stopLimit); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d, want 0", code)
	}
}

// health asks /healthz, ask whatever the HTTP address has.
func (p *program) health(t *testing.T) (int, string) {
	t.Helper()
	return p.ask(t, "/healthz")
}

func (p *program) ask(t *testing.T, path string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + p.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// TestNone: what is switched off is neither bound nor named.
func TestNone(t *testing.T) {
	all := []string{"--zmq-server=none", "--zmq-router=none", "--grpc=none", "--http=none"}
	for i, kept := range ephemeral {
		name := strings.TrimPrefix(strings.Split(kept, "=")[0], "--")
		t.Run(name, func(t *testing.T) {
			addresses := append([]string{kept}, all...)
			addresses = append(addresses[:i+1], addresses[i+2:]...)
			p := serveAt(t, addresses, nil, nil)
			if fields := strings.Fields(p.ready); len(fields) != 3 || fields[1] != name {
				t.Errorf("the ready line is %q, want %s alone", p.ready, name)
			}
			file := reflect.ValueOf(p.readAddresses(t))
			for j := range file.NumField() {
				wants := i == j || i == j-2 && i >= 2 // one address, and all of that kind
				if field := file.Field(j); (field.Len() > 0) != wants {
					t.Errorf("the ready file has %q for %s", field, file.Type().Field(j).Name)
				}
			}
		})
	}
}

// TestSIGTERM_BRK_17 stops a gateway in which flows are active and pending, on
// every transport: all their peers are told.
func TestSIGTERM_BRK_17(t *testing.T) {
	p := serve(t, []string{"--default-routes"}, nil)
	l := p.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	var peers []peer
	for _, client := range transports {
		for _, handler := range transports {
			f := p.openFlow(t, l, client, handler, zio.Extract, 2)
			f.cross(t, 1)
			peers = append(peers, f.client, f.handler)
		}
		pending := p.dial(t, client)
		mustSend(t, pending, botMessage(zio.Inject, 2, 0))
		l.offer(t)
		peers = append(peers, pending)
	}
	begin := time.Now()
	p.signal(t, syscall.SIGTERM)
	for _, peer := range peers {
		wantEOT(t, peer, flow.Draining, "the gateway is shutting down")
	}
	if code := p.wait(t, stopLimit-time.Since(begin)); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d, want 0", code)
	}
	checkStatus(t, l.closed(t), flow.Draining, "")
}

// closed waits for the listener's stream to end.
func (l *listener) closed(t *testing.T) error {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, more := <-l.events:
			if !more {
				return l.err
			}
		case <-deadline:
			t.Fatal("the listener's stream has not ended")
		}
	}
}

// TestGrace: after SIGTERM with --drain-grace flows may go on to their end, new
// ones are refused, and the process exits with the last flow.
func TestGrace(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"--default-routes", "--drain-grace=1m"}, nil)
	l := p.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	f := p.openFlow(t, l, viaClient, viaGRPC, zio.Extract, 2)
	late := map[transportName]peer{viaClient: p.dial(t, viaClient), viaDealer: p.dial(t, viaDealer), viaGRPC: p.dial(t, viaGRPC)}
	p.signal(t, syscall.SIGTERM)
	p.log.waitFor(t, "stopping")
	eventually(t, "/healthz", func() error {
		if code, body := p.health(t); code != http.StatusServiceUnavailable {
			return fmt.Errorf("answers %d %q, want 503", code, body)
		}
		return nil
	})
	for _, client := range late {
		mustSend(t, client, botMessage(zio.Extract, 2, 0))
		wantEOT(t, client, flow.Draining, "shutting down")
	}
	f.cross(t, 3)
	f.end(t)
	if code := p.wait(t, stopLimit); code != 0 {
		t.Errorf("the exit code is %d, want 0", code)
	}
}

// TestSecondSignal: who does not want to wait need not.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, second := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(second.String(), func(t *testing.T) {
			p := serve(t, []string{"--default-routes", "--drain-grace=1m"}, nil)
			l := p.listen(t, &gatewayv1.ListenRequest{Name: "all"})
			p.openFlow(t, l, viaClient, viaDealer, zio.Extract, 2)
			p.signal(t, syscall.SIGTERM)
			p.log.waitFor(t, "stopping; a second signal stops at once")
			p.signal(t, second)
			if code := p.wait(t, soon); code != -int(second) {
				t.Errorf("the exit code is %d, want the end by signal %d", code, second)
			}
		})
	}
}

// TestStuckPeer: a peer that does not read what it has asked for does not keep
// the gateway from stopping in time, nor the others from being told.
func TestStuckPeer(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"--default-routes"}, nil)
	for _, via := range transports {
		stuck := p.dial(t, via)
		mustSend(t, stuck, flowMessage(`{"flow":"BOT","direction":"inject","credit":10,"count":1000,"size":20000000}`))
		mustRecv(t, stuck, zio.BOT)
		mustSend(t, stuck, payMessage(10))
		mustRecv(t, stuck, zio.DAT)
	}
	honest := p.dial(t, viaDealer)
	mustSend(t, honest, botMessage(zio.Extract, 2, 0))
	mustRecv(t, honest, zio.BOT)
	mustRecv(t, honest, zio.PAY)
	begin := time.Now()
	p.signal(t, syscall.SIGTERM)
	wantEOT(t, honest, flow.Draining, "")
	wantSoon(t, begin)
	if code := p.wait(t, stopLimit-time.Since(begin)); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d, want 0", code)
	}
}

// TestKilledGateway_BRK_18: a native client does not notice that the gateway has
// been replaced. Its next message is answered, and it can begin anew.
func TestKilledGateway_BRK_18(t *testing.T) {
	old := serve(t, []string{"--default-routes"}, nil)
	clients := map[transportName]peer{}
	for _, via := range transports {
		clients[via] = old.dial(t, via)
		mustSend(t, clients[via], botMessage(zio.Extract, 2, 0))
		mustRecv(t, clients[via], zio.BOT)
		mustRecv(t, clients[via], zio.PAY)
	}
	old.signal(t, syscall.SIGKILL)
	old.wait(t, patience)
	if _, err := clients[viaGRPC].recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the gRPC client's stream ended with %v, want Unavailable", err)
	}
	serveAt(t, []string{
		"--default-routes", "--zmq-server=" + old.addresses[viaClient], "--zmq-router=" + old.addresses[viaDealer],
		"--grpc=" + old.addresses[viaGRPC], "--http=none",
	}, nil, nil)
	for _, via := range transports {
		if via != viaGRPC {
			mustSend(t, clients[via], datMessage([]byte("data")))
			if m := mustRecv(t, clients[via], zio.EOT); m.End.Reason != "unknown flow" {
				t.Errorf("%s received %s, want error \"unknown flow\"", via, m.Label)
			}
		}
		mustSend(t, clients[via], botMessage(zio.Extract, 2, 0))
		mustRecv(t, clients[via], zio.BOT)
	}
}

// TestAddressInUse: the gateway says which of its addresses it could not have.
func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	for option, value := range map[string]string{
		"zmq-server": "tcp://" + address, "zmq-router": "tcp://" + address, "grpc": address, "http": address,
	} {
		wantRefused(t, option, []string{"--" + option + "=" + value}, nil, address)
	}
}
