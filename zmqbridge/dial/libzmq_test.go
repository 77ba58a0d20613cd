//go:build cgo

package dial_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4/draft"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/zmqbridge/dial"
	"github.com/zioflow/gateway/zmtp"
)

// libzmq is a SERVER or ROUTER of libzmq that sends back what comes.
type libzmq struct {
	kind    zmq.Type
	context *zmq.Context
	socket  *zmq.Socket
	address string

	running sync.WaitGroup
	stopped chan struct{}
	once    sync.Once
}

// farTypes are the sockets that ours connect to.
var farTypes = map[zmtp.SocketType]zmq.Type{zmtp.Client: zmq.SERVER, zmtp.Dealer: zmq.ROUTER}

// bind runs until the test's end, or until stop.
func bind(t *testing.T, kind zmq.Type, address string, set func(*libzmq) error) *libzmq {
	t.Helper()
	context, err := zmq.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	socket, err := context.NewSocket(kind)
	if err != nil {
		t.Fatal(err)
	}
	z := &libzmq{kind: kind, context: context, socket: socket, stopped: make(chan struct{})}
	if set == nil {
		set = func(*libzmq) error { return nil }
	}
	if err := errors.Join(socket.SetIpv6(true), socket.SetRcvtimeo(20*time.Millisecond), socket.SetLinger(0), set(z), socket.Bind(address)); err != nil {
		t.Fatal(err)
	}
	if z.address, err = socket.GetLastEndpoint(); err != nil {
		t.Fatal(err)
	}
	z.running.Go(z.echo)
	t.Cleanup(z.stop)
	return z
}

func (z *libzmq) stop() {
	z.once.Do(func() {
		close(z.stopped)
		z.running.Wait()
		_ = z.socket.Close()
		_ = z.context.Term()
	})
}

func (z *libzmq) echo() {
	for {
		select {
		case <-z.stopped:
			return
		default:
		}
		if z.kind == zmq.ROUTER {
			if parts, err := z.socket.RecvMessageBytes(0); err == nil {
				_, _ = z.socket.SendMessage(parts)
			}
			continue
		}
		data, options, err := z.socket.RecvBytesWithOpts(0, zmq.OptRoutingId(0))
		if id, ok := options[0].(zmq.OptRoutingId); err == nil && ok {
			_, _ = z.socket.SendBytes(data, 0, id)
		}
	}
}

// secure has the socket ask for CURVE, and let every key in unless status is another
// than 200.
func (z *libzmq) secure(k *keys, status string) error {
	zap, err := z.context.NewSocket(zmq.REP)
	if err != nil {
		return err
	}
	if err := errors.Join(zap.SetRcvtimeo(20*time.Millisecond), zap.SetLinger(0), zap.Bind("inproc://zeromq.zap.01")); err != nil {
		return err
	}
	z.running.Go(func() {
		defer func() { _ = zap.Close() }()
		for {
			select {
			case <-z.stopped:
				return
			default:
			}
			if request, err := zap.RecvMessage(0); err == nil {
				_, _ = zap.SendMessage(request[0], request[1], status, "", "", "")
			}
		}
	})
	return z.socket.ServerAuthCurve("test", access.CurveKey(k.server.Secret).String())
}

// echoed sends messages and checks that they come back.
func echoed(t *testing.T, c *dial.Conn, messages ...[][]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, m := range messages {
		if err := c.SendParts(ctx, m...); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range messages {
		got, err := c.ReceiveParts(ctx)
		if err != nil {
			t.Fatalf("message %d of %d: %v", i, len(messages), err)
		}
		same := len(got) == len(m)
		for j := 0; same && j < len(m); j++ {
			same = bytes.Equal(got[j], m[j])
		}
		if !same {
			t.Fatalf("message %d has come back otherwise", i)
		}
	}
}

// sizes are messages of one part, of all kinds of sizes.
func sizes(sizes ...int) (messages [][][]byte) {
	for _, n := range sizes {
		messages = append(messages, [][]byte{bytes.Repeat([]byte{byte(n)}, n)})
	}
	return messages
}

// TestLibzmq: what is sent to real sockets comes back as it was, with both mechanisms.
func TestLibzmq(t *testing.T) {
	t.Parallel()
	k := newKeys()
	for _, secure := range []bool{false, true} {
		for kind, far := range farTypes {
			for _, address := range []string{"tcp://127.0.0.1:*", "tcp://[::1]:*", "ipc://" + filepath.Join(t.TempDir(), "z")} {
				t.Run(fmt.Sprintf("%s CURVE=%t %.10s", kind, secure, address), func(t *testing.T) {
					z := bind(t, far, address, func(z *libzmq) error {
						if secure {
							return z.secure(&k, "200")
						}
						return nil
					})
					o := dial.DefaultOptions(z.address, kind)
					if secure {
						o.Curve = &k.client
					}
					c := open(t, o)
					echoed(t, c, sizes(1, 2, 254, 255, 256, 8191, 8192, 65535, 65536, 65537, 1_000_000)...)
					if strings.HasPrefix(address, "tcp://127.") {
						echoed(t, c, sizes(60_000_000)...)
					}
					if kind == zmtp.Dealer {
						many := make([][]byte, 1000)
						for i := range many {
							many[i] = bytes.Repeat([]byte("m"), i%300)
						}
						echoed(t, c, [][]byte{nil, []byte("a"), nil}, many)
					}
					for range 20 {
						echoed(t, c, sizes(100, 10, 1000, 100, 5000, 100, 10, 1, 3)...)
					}
				})
			}
		}
	}
}

// TestLibzmqRefuses: what libzmq says, and does not say, to those whom it does not
// want.
func TestLibzmqRefuses(t *testing.T) {
	t.Parallel()
	k := newKeys()
	stranger := k.client
	stranger.Server = k.other.Public
	secure := func(status string) func(*libzmq) error {
		return func(z *libzmq) error { return z.secure(&k, status) }
	}
	for _, test := range []struct {
		name  string
		far   zmq.Type
		set   func(*libzmq) error
		kind  zmtp.SocketType
		curve *zmtp.CurveKeys
		cause dial.Cause
		words string
	}{
		{"a CLIENT to a ROUTER", zmq.ROUTER, nil, zmtp.Client, nil, dial.SocketType, `"ROUTER"`},
		{"a DEALER to a SERVER", zmq.SERVER, nil, zmtp.Dealer, nil, dial.SocketType, `"SERVER"`},
		{"a DEALER to a PUB", zmq.PUB, nil, zmtp.Dealer, nil, dial.SocketType, `"PUB"`},
		{"NULL to CURVE", zmq.SERVER, secure("200"), zmtp.Client, nil, eitherOf, "CURVE"},
		{"CURVE to NULL", zmq.SERVER, nil, zmtp.Client, &k.client, eitherOf, "CURVE"},
		{"another server's key", zmq.SERVER, secure("200"), zmtp.Client, &stranger, dial.Left, "the server's public key is most likely another"},
		{"a key that is not let in", zmq.ROUTER, secure("400"), zmtp.Dealer, &k.client, dial.Refused, "access control of the peer says no, status 400"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			z := bind(t, test.far, "tcp://127.0.0.1:*", test.set)
			o := dial.DefaultOptions(z.address, test.kind)
			o.Curve = test.curve
			c, err := dial.Dial(t.Context(), o)
			if err == nil {
				t.Fatal(errors.Join(errors.New("connected"), c.Close(0)))
			}
			if fault, ok := errors.AsType[*dial.Error](err); !ok || fault.Cause != test.cause && (test.cause != eitherOf || fault.Cause != dial.Left && fault.Cause != dial.Mechanism) ||
				!strings.Contains(err.Error(), test.words) {
				t.Errorf("%v, want %s, %q", err, test.cause, test.words)
			}
		})
	}
}

// eitherOf stands for Mechanism and Left: libzmq may close before it has said which
// mechanism it wants, or anything.
const eitherOf dial.Cause = "mechanism or left"

// TestLibzmqHeartbeats: each end asks the other, under both mechanisms, for longer
// than silence is borne.
func TestLibzmqHeartbeats(t *testing.T) {
	t.Parallel()
	const borne = 5 * time.Second // longer than a busy machine keeps a process from running
	k := newKeys()
	for _, secure := range []bool{false, true} {
		for _, ours := range []time.Duration{0, 50 * time.Millisecond} {
			t.Run(fmt.Sprintf("CURVE=%t ours=%v", secure, ours), func(t *testing.T) {
				t.Parallel()
				z := bind(t, zmq.SERVER, "tcp://127.0.0.1:*", func(z *libzmq) error {
					var err error
					if secure {
						err = z.secure(&k, "200")
					}
					if ours == 0 {
						err = errors.Join(err, z.socket.SetHeartbeatIvl(50*time.Millisecond), z.socket.SetHeartbeatTimeout(borne))
					}
					return err
				})
				events := make(chan dial.Event, 1000)
				o := dial.DefaultOptions(z.address, zmtp.Client)
				o.Heartbeat, o.HeartbeatTimeout = ours, borne
				o.Notify = func(e dial.Event) { events <- e }
				if secure {
					o.Curve = &k.client
				}
				c := open(t, o)
				waitFor(t, events, dial.Connected)
				ctx, cancel := context.WithTimeout(t.Context(), borne+time.Second)
				defer cancel()
				if _, err := c.ReceiveParts(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the connection ended by itself: %v", err)
				}
				echoed(t, c, sizes(10)...)
			})
		}
	}
}

// TestLibzmqRestart: a handler that is stopped and started again is reached again, and
// what was under way is told.
func TestLibzmqRestart(t *testing.T) {
	t.Parallel()
	address := "ipc://" + filepath.Join(t.TempDir(), "z")
	o := dial.DefaultOptions(address, zmtp.Client)
	o.LastRetry = 100 * time.Millisecond
	c := open(t, o) // before anybody listens
	for range 3 {
		z := bind(t, zmq.SERVER, address, nil)
		if err := c.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		echoed(t, c, sizes(10, 1000)...)
		z.stop()
		_, err := c.ReceiveParts(t.Context())
		if fault, ok := errors.AsType[*dial.Error](err); !ok || fault.Cause != dial.Lost || fault.Sent != 2 || fault.Unsent != 0 {
			t.Errorf("the loss is %#v", err)
		}
	}
}
