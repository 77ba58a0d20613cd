package main

import (
	"encoding/binary"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4/draft"

	"github.com/zioflow/gateway/broker/zio"
)

// A native taker notices what is lost or doubled: numbers are of the messages
// that a relay hands it, of two.
func TestNativeTakerChecks(t *testing.T) {
	p := builtPrograms(t)
	for via, words := range map[transport][]string{native: {p.loads[native], "client"}, raw: {p.loads[raw]}} {
		for _, test := range []struct {
			name    string
			numbers []uint64
			good    bool
		}{
			{"all", []uint64{0, 1}, true},
			{"lost", []uint64{1}, false},
			{"doubled", []uint64{0, 0}, false},
			{"cut short", []uint64{0}, false},
		} {
			t.Run(string(via)+" "+test.name, func(t *testing.T) {
				server, address := bindServer(t)
				taker, err := startPeer(t.Context(), append(words, "take", "relay", address, "1", "1", "2", "100", "2"))
				if err != nil {
					t.Fatal(err)
				}
				defer taker.end()
				hello, id := receive(t, server)
				send(t, server, id, hello)
				if pay, _ := receive(t, server); len(pay) <= 8 {
					t.Fatalf("instead of a PAY came %q", pay)
				}
				for _, number := range test.numbers {
					payload := binary.LittleEndian.AppendUint64(nil, number)
					send(t, server, id, message(`{"flow":"DAT"}`, append(payload, make([]byte, 92)...)))
				}
				send(t, server, id, message(`{"flow":"EOT"}`))
				if lines, err := taker.rest(); (err == nil) != test.good {
					t.Errorf("the taker said %q, %v", lines, err)
				}
			})
		}
	}
}

func message(label string, payload ...[]byte) []byte {
	m := &zio.Message{Form: zio.FormFlow, Label: []byte(label), Payload: payload}
	return m.AppendEncoded(nil)
}

func bindServer(t *testing.T) (server *zmq.Socket, address string) {
	t.Helper()
	server, err := zmq.NewSocket(zmq.SERVER)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := server.SetRcvtimeo(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := server.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := server.Bind("tcp://127.0.0.1:*"); err != nil {
		t.Fatal(err)
	}
	if address, err = server.GetLastEndpoint(); err != nil {
		t.Fatal(err)
	}
	return server, address
}

func receive(t *testing.T, server *zmq.Socket) ([]byte, zmq.OptRoutingId) {
	t.Helper()
	data, options, err := server.RecvBytesWithOpts(0, zmq.OptRoutingId(0))
	if err != nil {
		t.Fatal(err)
	}
	id, ok := options[0].(zmq.OptRoutingId)
	if !ok {
		t.Fatalf("no routing id with %q", data)
	}
	return data, id
}

func send(t *testing.T, server *zmq.Socket, id zmq.OptRoutingId, data []byte) {
	t.Helper()
	if _, err := server.SendBytes(data, 0, id); err != nil {
		t.Fatal(err)
	}
}
