//go:build capture

package zmtp

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4/draft"
)

// TestCapture writes testdata/libzmq anew: connections between real libzmq
// sockets and speakers. Only what libzmq has understood is written. Run
//
//	. scripts/env.sh && go test -tags capture -run TestCapture ./zmtp
func TestCapture(t *testing.T) {
	must(t, zmq.AuthStart())
	defer zmq.AuthStop()
	for _, curve := range []bool{false, true} {
		for _, pair := range []struct{ listens, connects SocketType }{{Server, Client}, {Router, Dealer}} {
			for _, weListen := range []bool{true, false} {
				capture(t, scene{curve: curve, weListen: weListen, listens: pair.listens, connects: pair.connects})
			}
		}
	}
	capture(t, scene{curve: true, listens: Router, connects: Dealer, denied: true})
}

// scene is what a capture has in it. denied has libzmq's end refuse our key.
type scene struct {
	curve, weListen, denied bool
	listens, connects       SocketType
}

func (s scene) name() string {
	name := strings.ToLower(string(s.connects))
	if !s.weListen {
		name = strings.ToLower(string(s.listens))
	}
	if s.curve {
		name += "-curve"
	}
	if s.denied {
		name += "-denies"
	}
	return name
}

// texts are the messages that libzmq sends.
func (s scene) texts() [][]string {
	long := strings.Repeat("long ", 100)
	if s.connects == Client {
		return [][]string{{"one"}, {long}, {"three"}}
	}
	return [][]string{{"", "one"}, {"", long, "", "two"}}
}

func capture(t *testing.T, s scene) {
	script := &transcript{config: Config{Type: s.listens, AsServer: true}}
	if !s.weListen {
		script.config = Config{Type: s.connects}
	}
	if script.config.Type == Dealer {
		script.config.Identity = "detector-7"
	}
	socket, theirs := socketOf(t, s)
	defer func() { must(t, socket.Close()) }()
	if s.curve {
		script.config.Curve = newKeys(t)
		script.config.Curve.Server = theirs.Public
		curve(t, s, socket, theirs, script.config.Curve)
	}
	must(t, script.config.Validate())

	conn := meet(t, s, socket)
	defer func() { must(t, conn.Close()) }()
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	understood := make(chan error, 1)
	if !s.denied { // nothing would come
		go func() { understood <- exchange(s, socket) }()
	}
	speaker := newSpeaker(&script.config, nil)
	err := record(script, speaker, conn, len(slices.Concat(s.texts()...)))
	if s.denied {
		script.fails = asError(err).Cause.String()
	} else {
		must(t, err)
		must(t, <-understood)
		if fmt.Sprintf("%s", speaker.pongs) != "["+pingContext+"]" {
			t.Errorf("PONGs with %q", speaker.pongs)
		}
	}
	script.peer, script.random = *speaker.h.Peer(), speaker.took

	major, minor, patch := zmq.Version()
	text := fmt.Sprintf("# libzmq %d.%d.%d, %s; see capture_test.go\n%s", major, minor, patch, s.name(), script)
	must(t, os.WriteFile(filepath.Join("testdata", "libzmq", s.name()+".txt"), []byte(text), 0o644))
}

// socketOf makes libzmq's end and its keys.
func socketOf(t *testing.T, s scene) (*zmq.Socket, *CurveKeys) {
	kinds := map[SocketType]zmq.Type{Client: zmq.CLIENT, Server: zmq.SERVER, Dealer: zmq.DEALER, Router: zmq.ROUTER}
	kind := s.listens
	if s.weListen {
		kind = s.connects
	}
	socket, err := zmq.NewSocket(kinds[kind])
	must(t, err)
	must(t, socket.SetLinger(0))
	must(t, socket.SetRcvtimeo(10*time.Second))
	must(t, socket.SetHeartbeatIvl(100*time.Millisecond))
	must(t, socket.SetHeartbeatTtl(2*time.Second))
	if kind == Dealer {
		must(t, socket.SetIdentity("reader"))
	}
	return socket, newKeys(t)
}

func curve(t *testing.T, s scene, socket *zmq.Socket, theirs, ours *CurveKeys) {
	z85 := func(key [32]byte) string { return zmq.Z85encode(string(key[:])) }
	if s.weListen {
		must(t, socket.ClientAuthCurve(z85(ours.Public), z85(theirs.Public), z85(theirs.Secret)))
		return
	}
	domain := "all"
	if s.denied {
		domain = "nobody"
	}
	zmq.AuthCurveAdd("all", zmq.CURVE_ALLOW_ANY)
	must(t, socket.ServerAuthCurve(domain, z85(theirs.Secret)))
}

// meet connects the ends.
func meet(t *testing.T, s scene, socket *zmq.Socket) net.Conn {
	if s.weListen {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer func() { must(t, listener.Close()) }()
		must(t, socket.Connect("tcp://"+listener.Addr().String()))
		conn, err := listener.Accept()
		must(t, err)
		return conn
	}
	must(t, socket.Bind("tcp://127.0.0.1:*"))
	address, err := socket.GetLastEndpoint()
	must(t, err)
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "tcp://"))
	must(t, err)
	return conn
}

// record lets the speaker speak until it has heard that many frames, a PING
// and a PONG.
func record(script *transcript, speaker *speaker, conn net.Conn, frames int) error {
	if _, err := conn.Write(speaker.h.Start()); err != nil {
		return err
	}
	buffer := make([]byte, 64<<10)
	for len(speaker.messages) < frames || speaker.pings == 0 || len(speaker.pongs) == 0 {
		n, err := conn.Read(buffer)
		if err != nil {
			return err
		}
		out, err := speaker.receive(buffer[:n])
		script.lines = append(script.lines, line{received: slices.Clone(buffer[:n]), sent: out})
		if err != nil {
			return err
		}
		if _, err := conn.Write(out); err != nil {
			return err
		}
	}
	return nil
}

// exchange is what libzmq's end does: it sends messages and wants them back.
func exchange(s scene, socket *zmq.Socket) error {
	var to []any
	var id []string
	if !s.weListen {
		hello, options, err := receiveAll(s, socket)
		if err != nil {
			return err
		}
		if hello[len(hello)-1] != "hello" {
			return fmt.Errorf("libzmq has received %q", hello)
		}
		if s.listens == Router {
			id = hello[:1]
		} else {
			to = options
		}
	}
	for _, text := range s.texts() {
		text = slices.Concat(id, text)
		for i, part := range text {
			flags := zmq.SNDMORE
			if i == len(text)-1 {
				flags = 0
			}
			if _, err := socket.Send(part, flags, to...); err != nil {
				return err
			}
		}
		got, _, err := receiveAll(s, socket)
		if err != nil {
			return err
		}
		if !slices.Equal(got, text) {
			return fmt.Errorf("libzmq has sent %q and received %q", text, got)
		}
	}
	return nil
}

func receiveAll(s scene, socket *zmq.Socket) ([]string, []any, error) {
	if s.listens == Server {
		text, options, err := socket.RecvWithOpts(0, zmq.OptRoutingId(0))
		return []string{text}, options, err
	}
	parts, err := socket.RecvMessage(0)
	return parts, nil, err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
