package main_test

import (
	"net"
	"strings"
	"testing"
	"time"
)

// TestTransferRefused: get and put say at once why they cannot reach a gateway over
// ZeroMQ, and which option may be wrong.
func TestTransferRefused(t *testing.T) {
	s := serveSecured(t)
	plain := serve(t, nil, nil)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	server, router := "--address="+plain.addresses[viaClient], "--address="+plain.addresses[viaDealer]
	known := []string{"--curve-server=" + s.file("server.curve.pub"), "--curve-key=" + s.file("writer.curve")}
	for name, c := range map[string]struct{ arguments, words []string }{
		"no gateway": {[]string{"get", "--via=zmq-server", "--address=tcp://" + nobody.Addr().String()},
			[]string{nobody.Addr().String(), "connection refused", "is the gateway running", "--zmq-server"}},
		"its gRPC port": {[]string{"put", "--via=zmq-server", "--address=tcp://" + plain.addresses[viaGRPC]},
			[]string{plain.addresses[viaGRPC], "gRPC", "--via grpc"}},
		"its HTTP port": {[]string{"put", "--via=zmq-router", "--address=tcp://" + plain.http},
			[]string{plain.http, "ZeroMQ", "--zmq-router"}},
		"the ROUTER's":     {[]string{"get", "--via=zmq-server", router}, []string{"for --via zmq-router"}},
		"the SERVER's":     {[]string{"put", "--via=zmq-router", server}, []string{"for --via zmq-server"}},
		"no scheme":        {[]string{"put", "--via=zmq-router", "--address=127.0.0.1:5556"}, []string{"127.0.0.1:5556", "tcp://"}},
		"no CURVE":         {[]string{"get", "--via=zmq-server", "--address=" + s.addresses[viaClient]}, []string{"CURVE", "--curve-server"}},
		"needless CURVE":   {append([]string{"get", "--via=zmq-server", server}, known...), []string{"CURVE", "--curve-server"}},
		"an unknown key":   {[]string{"get", "--via=zmq-router", "--address=" + s.addresses[viaDealer], known[0], "--curve-key=" + s.file("stranger.curve")}, []string{"--curve-key"}},
		"another server":   {[]string{"get", "--via=zmq-router", "--address=" + s.addresses[viaDealer], "--curve-server=" + s.file("writer.curve.pub"), known[1]}, []string{"--curve-server"}},
		"half of the keys": {[]string{"get", "--via=zmq-router", router, known[0]}, []string{"--curve-server and --curve-key need each other"}},
		"a file of no key": {[]string{"get", "--via=zmq-router", router, known[0], "--curve-key=" + s.file("ca.pem")}, []string{"curve-key", "ca.pem", "40 characters"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			out, err := gatewayCommand(t, patience, c.arguments, nil).CombinedOutput()
			if took := time.Since(begin); err == nil || took > patience/2 {
				t.Errorf("gateway %v ended with %v after %v", c.arguments, err, took)
			}
			for _, word := range c.words {
				if !strings.Contains(string(out), word) {
					t.Errorf("gateway %v printed %q, want %q in it", c.arguments, out, word)
				}
			}
		})
	}
}

// TestTransferSecured: get and put over CURVE.
func TestTransferSecured(t *testing.T) {
	t.Parallel()
	s := serveSecured(t)
	keys := []string{"--curve-server=" + s.file("server.curve.pub"), "--curve-key=" + s.file("writer.curve")}
	for via, address := range map[string]string{"zmq-server": s.addresses[viaClient], "zmq-router": s.addresses[viaDealer]} {
		out := s.run(t, append([]string{"get", "--via=" + via, "--address=" + address, "count=20", "size=100000"}, keys...)...)
		if !strings.Contains(out, "took 20 messages, 2000000 bytes") {
			t.Errorf("get printed %s", out)
		}
		out = s.run(t, append([]string{"put", "--via=" + via, "--address=" + address, "--count=20", "--size=100000"}, keys...)...)
		if !strings.Contains(out, "gave 20 messages, 2000000 bytes") {
			t.Errorf("put printed %s", out)
		}
	}
}

// TestTransferTimeout: a gateway that answers nothing is waited for as long as
// --timeout says, and no longer.
func TestTransferTimeout(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"--no-default-routes", file(t, "routes:\n- name: sleeps\n  exec: {command: [sleep, '1000']}\n")}, nil)
	for _, via := range []string{"zmq-server", "zmq-router"} {
		address := map[string]string{"zmq-server": p.addresses[viaClient], "zmq-router": p.addresses[viaDealer]}[via]
		begin := time.Now()
		out, err := gatewayCommand(t, patience, []string{"put", "--via=" + via, "--address=" + address, "--timeout=700ms"}, nil).CombinedOutput()
		took := time.Since(begin)
		if err == nil || took < 700*time.Millisecond || took > 4*time.Second || !strings.Contains(string(out), "nothing has come within 700ms") {
			t.Errorf("put ended with %v after %v and printed %s", err, took, out)
		}
	}
}
