package main_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
)

// nativeServer is a handler that binds a SERVER of its own, as ZIO's flow servers do, and
// knows nothing of gateways: it gives or takes three DATs a flow.
type nativeServer struct {
	socket *native.Server
	stop   chan struct{}
	done   chan error
}

func startNativeServer(t *testing.T, address string) *nativeServer {
	t.Helper()
	socket, err := native.Listen(address, "")
	if err != nil {
		t.Fatal(err)
	}
	s := &nativeServer{socket: socket, stop: make(chan struct{}), done: make(chan error, 1)}
	go func() { s.done <- s.serve() }()
	return s
}

// kill ends it as the end of its process would.
func (s *nativeServer) kill(t *testing.T) {
	t.Helper()
	close(s.stop)
	if err := errors.Join(<-s.done, s.socket.Close(0)); err != nil {
		t.Error(err)
	}
}

// serve serves any number of flows at once.
func (s *nativeServer) serve() error {
	given := map[uint32]int{}
	for {
		select {
		case <-s.stop:
			return nil
		default:
		}
		from, m, err := s.socket.Receive(soon / 20)
		if errors.Is(err, native.ErrTimeout) {
			continue
		}
		if err != nil {
			return err
		}
		replies, err := serverReplies(m, given, from)
		if err != nil {
			return err
		}
		for i, label := range replies {
			reply := flowMessage(label, []byte(fmt.Sprintf("payload %d", i)))
			if err := s.socket.Send(from, reply); err != nil {
				return err
			}
		}
	}
}

// serverReplies are the labels by which it replies to a message.
func serverReplies(m *zio.Message, given map[uint32]int, from uint32) ([]string, error) {
	head, err := zio.Peek(m.Label)
	if err != nil {
		return nil, err
	}
	switch head.Type {
	case zio.BOT:
		bot, err := zio.ParseBot(m.Label)
		if err != nil {
			return nil, err
		}
		if bot.CID.Form != zio.Absent || strings.Contains(string(m.Label), "cid") {
			return nil, fmt.Errorf("the handler sees a cid: %s", m.Label)
		}
		label, err := zio.RewriteBot(m.Label, bot.Direction.Reverse(), bot.Credit.Value, 0)
		replies := []string{string(label)}
		if bot.Direction == zio.Extract {
			replies = append(replies, fmt.Sprintf(`{"flow":"PAY","credit":%d}`, bot.Credit.Value))
		}
		return replies, err
	case zio.PAY:
		replies := []string{}
		for range min(head.Credit.Value, int64(3-given[from])) {
			replies = append(replies, `{"flow":"DAT"}`)
			given[from]++
		}
		if given[from] == 3 {
			replies = append(replies, `{"flow":"EOT"}`)
			given[from]++
		}
		return replies, nil
	case zio.EOT:
		if given[from] < 3 { // the client gave
			return []string{`{"flow":"EOT"}`}, nil
		}
	}
	return nil, nil
}

// TestConnectRoute: a client of every transport reaches a handler that the gateway has to
// connect to, in both directions; also after the handler was killed and is back.
func TestConnectRoute(t *testing.T) {
	t.Parallel()
	address := "ipc://" + filepath.Join(t.TempDir(), "far") // a port could be another's when it is to be bound again
	handler := startNativeServer(t, address)
	p := serve(t, []string{file(t, "handler-wait: 10s\nroutes:\n- name: far\n  connect: {address: '"+address+"'}\n")}, nil)
	for range 2 {
		for _, via := range transports {
			takeFromServer(t, p.dial(t, via))
			giveToServer(t, p.dial(t, via))
		}
		waiting := p.dial(t, viaGRPC)
		handler.kill(t)
		mustSend(t, waiting, botMessage(zio.Inject, 4, 0)) // is served by the next one
		handler = startNativeServer(t, address)
		mustRecv(t, waiting, zio.BOT)
		waiting.leave()
	}
	handler.kill(t)
}

func takeFromServer(t *testing.T, client peer) {
	t.Helper()
	mustSend(t, client, botMessage(zio.Inject, 4, 0))
	mustRecv(t, client, zio.BOT)
	mustSend(t, client, payMessage(4))
	for i := range 3 {
		m := mustRecv(t, client, zio.DAT)
		if got, want := string(zio.Part(m.Payload).AppendTo(nil)), fmt.Sprintf("payload %d", i); got != want {
			t.Errorf("DAT %d is %q, want %q", i, got, want)
		}
	}
	if m := mustRecv(t, client, zio.EOT); m.End.Reason != "" {
		t.Errorf("the flow ended with %v", m.End)
	}
	mustSend(t, client, eotMessage())
	if err := client.finish(true); err != nil {
		t.Error(err)
	}
}

func giveToServer(t *testing.T, client peer) {
	t.Helper()
	mustSend(t, client, botMessage(zio.Extract, 4, 0))
	mustRecv(t, client, zio.BOT)
	if pay := mustRecv(t, client, zio.PAY); pay.Credit != 4 {
		t.Errorf("paid %d, want 4", pay.Credit)
	}
	for range 3 {
		mustSend(t, client, datMessage([]byte("data")))
	}
	mustSend(t, client, eotMessage())
	if m := mustRecv(t, client, zio.EOT); m.End.Reason != "" {
		t.Errorf("the flow ended with %v", m.End)
	}
	if err := client.finish(true); err != nil {
		t.Error(err)
	}
}
