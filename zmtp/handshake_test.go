package zmtp

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// ends are configurations of two ends that fit.
func ends(t testing.TB, mechanism Mechanism, client, server SocketType) (c, s *Config) {
	t.Helper()
	c, s = &Config{Type: client}, &Config{Type: server, AsServer: true}
	if client == Dealer {
		c.Identity = "detector-7"
	}
	if mechanism == Curve {
		c.Curve, s.Curve = newKeys(t), newKeys(t)
		c.Curve.Server = s.Curve.Public
	}
	for _, end := range []*Config{c, s} {
		if err := end.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	return c, s
}

func newKeys(t testing.TB) *CurveKeys {
	t.Helper()
	secret, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &CurveKeys{Secret: [32]byte(secret.Bytes()), Public: [32]byte(secret.PublicKey().Bytes())}
}

// pair is two ends and what is under way between them.
type pair struct {
	client, server     *Handshake
	toServer, toClient []byte
	clientErr          error
	serverErr          error
}

func newPair(c, s *Config) *pair {
	p := &pair{client: NewHandshake(c), server: NewHandshake(s)}
	p.toServer, p.toClient = p.client.Start(), p.server.Start()
	return p
}

// run hands over at most so many bytes at a time until both ends are silent or
// have failed. An end that has failed still has its last words delivered.
func (p *pair) run(t testing.TB, most int) {
	t.Helper()
	step := func(h *Handshake, failed *error, in, reply []byte) (rest, out []byte) {
		take := in[:min(most, len(in))]
		if *failed != nil {
			return nil, reply
		}
		n, out, err := h.Receive(take)
		if *failed = err; err == nil && n != len(take) {
			t.Fatalf("has taken %d bytes of %d", n, len(take))
		}
		return in[len(take):], append(reply, out...)
	}
	for len(p.toServer)+len(p.toClient) > 0 {
		p.toServer, p.toClient = step(p.server, &p.serverErr, p.toServer, p.toClient)
		p.toClient, p.toServer = step(p.client, &p.clientErr, p.toClient, p.toServer)
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []Mechanism{Null, Curve} {
		for _, types := range [][2]SocketType{{Client, Server}, {Dealer, Router}, {Router, Router}, {Req, Router}, {Dealer, Rep}} {
			for _, most := range []int{1, 2, 3, 7, 63, 64, 65, 200, 1 << 20} {
				t.Run(fmt.Sprint(mechanism, types, most), func(t *testing.T) {
					t.Parallel()
					cc, sc := ends(t, mechanism, types[0], types[1])
					p := newPair(cc, sc)
					p.run(t, most)
					if p.clientErr != nil || p.serverErr != nil || !p.client.Done() || !p.server.Done() {
						t.Fatal(p.clientErr, p.serverErr)
					}
					wantServer := Peer{Major: 3, Minor: 1, Mechanism: mechanism, Type: types[1]}
					wantClient := Peer{Major: 3, Minor: 1, Mechanism: mechanism, Type: types[0], Identity: cc.Identity}
					if mechanism == Curve {
						wantServer.Key, wantClient.Key = sc.Curve.Public, cc.Curve.Public
					}
					if *p.client.Peer() != wantServer || *p.server.Peer() != wantClient {
						t.Errorf("%+v, %+v", p.client.Peer(), p.server.Peer())
					}
					if p.client.Waiting() != "" || p.server.Waiting() != "" {
						t.Errorf("wait for %q, %q", p.client.Waiting(), p.server.Waiting())
					}
					checkTraffic(t, mechanism, p.client.Session(), p.server.Session())
				})
			}
		}
	}
}

// checkTraffic sends messages both ways.
func checkTraffic(t *testing.T, mechanism Mechanism, client, server *Session) {
	t.Helper()
	if (client != nil) != (mechanism == Curve) || (server != nil) != (mechanism == Curve) {
		t.Fatalf("sessions %v, %v", client, server)
	}
	if client == nil {
		return
	}
	for i := range 3 {
		for _, way := range [][2]*Session{{client, server}, {server, client}} {
			want := Header{More: i == 1, Command: i == 2, Size: 5}
			frame := way[0].Seal(nil, want, []byte("he"), nil, []byte("llo"))
			outer, n, err := ParseHeader(frame)
			if err != nil || outer != (Header{Size: uint64(len(frame) - n)}) || outer.Size != 5+Overhead {
				t.Fatalf("%+v, %d, %v", outer, n, err)
			}
			h, plain, err := way[1].Open(nil, frame[n:])
			if err != nil || h != want || string(plain) != "hello" {
				t.Fatalf("%+v, %q, %v", h, plain, err)
			}
		}
	}
}

// fixed makes a handshake's random bytes the same in every run.
func fixed(h *Handshake, seed byte) *Handshake {
	source := mathrand.NewChaCha8([32]byte{seed})
	h.random = func(b []byte) { _, _ = source.Read(b) }
	return h
}

// streams are all bytes of one handshake, each way, with fixed keys.
func streams(t testing.TB, cc, sc *Config) (toServer, toClient []byte) {
	t.Helper()
	p := newPair(cc, sc)
	fixed(p.client, 1)
	fixed(p.server, 2)
	for len(p.toServer)+len(p.toClient) > 0 {
		toServer, toClient = append(toServer, p.toServer...), append(toClient, p.toClient...)
		_, reply, err := p.server.Receive(p.toServer)
		if err != nil {
			t.Fatal(err)
		}
		_, p.toServer, err = p.client.Receive(append(p.toClient, reply...))
		if err != nil {
			t.Fatal(err)
		}
		toClient, p.toClient = append(toClient, reply...), nil
	}
	return toServer, toClient
}

// TestSplits: wherever the peer's bytes are split, the same is sent, and none
// of what follows the handshake is taken.
func TestSplits(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []Mechanism{Null, Curve} {
		cc, sc := ends(t, mechanism, Dealer, Router)
		toServer, toClient := streams(t, cc, sc)
		for _, end := range []struct {
			config   *Config
			seed     byte
			in, want []byte
		}{{sc, 2, toServer, toClient}, {cc, 1, toClient, toServer}} {
			t.Run(fmt.Sprint(mechanism, end.config.Type), func(t *testing.T) {
				t.Parallel()
				for split := range len(end.in) + 1 {
					h := fixed(NewHandshake(end.config), end.seed)
					sent := h.Start()
					n, out, err := h.Receive(end.in[:split])
					if err != nil || n != split || h.Done() != (split == len(end.in)) {
						t.Fatalf("split at %d: %d, %v", split, n, err)
					}
					sent = append(sent, out...)
					n, out, err = h.Receive(append(bytes.Clone(end.in[split:]), "\x00\x05hello"...))
					if sent = append(sent, out...); err != nil || n != len(end.in)-split || !h.Done() || !bytes.Equal(sent, end.want) {
						t.Fatalf("split at %d: %d, %v, sends %x, want %x", split, n, err, sent, end.want)
					}
				}
			})
		}
	}
}

// TestRefusals: how a handshake fails, what each end says of it, and what the
// peer is told.
func TestRefusals(t *testing.T) {
	t.Parallel()
	secret := fmt.Errorf("peer 7: %w", secretive{})
	for _, c := range []struct {
		name           string
		mechanism      Mechanism
		client, server SocketType
		change         func(c, s *Config)
		clientSays     string // its error
		serverSays     string
	}{
		{name: "socket type", client: Dealer, server: Server,
			clientSays: `refused: the peer refuses: "Invalid socket type"`, serverSays: `socket_type: the peer is "DEALER", which SERVER does not speak to`},
		{name: "socket type, CURVE", mechanism: Curve, client: Client, server: Router,
			clientSays: `refused: the peer refuses: "Invalid socket type"`, serverSays: `socket_type: the peer is "CLIENT", which ROUTER does not speak to`},
		{name: "Authorize", client: Dealer, server: Router,
			change:     func(_, s *Config) { s.Authorize = func(*Peer) error { return secret } },
			clientSays: `refused: the peer refuses: "wrong password?"`, serverSays: "refused: the peer is refused: peer 7: the password is 1234"},
		{name: "Authorize, CURVE", mechanism: Curve, client: Client, server: Server,
			change:     func(_, s *Config) { s.Authorize = func(*Peer) error { return secret } },
			clientSays: `refused: the peer refuses: "wrong password?"`, serverSays: "refused: the peer is refused: peer 7: the password is 1234"},
		{name: "later", client: Dealer, server: Router,
			change:     func(_, s *Config) { s.Authorize = func(*Peer) error { return fmt.Errorf("full: %w", ErrTryLater) } },
			serverSays: "refused: the peer is refused: full: try later"},
		{name: "mechanism", mechanism: Curve, client: Client, server: Server,
			change:     func(c, _ *Config) { c.Curve = nil },
			clientSays: `mechanism: the peer wants "CURVE", not NULL`, serverSays: `mechanism: the peer wants "NULL", not CURVE`},
		{name: "server's key", mechanism: Curve, client: Client, server: Server,
			change:     func(c, _ *Config) { c.Curve.Server = c.Curve.Public },
			clientSays: `refused: the peer refuses: "Invalid key"`,
			serverSays: "key: HELLO's box does not open: the peer does not know our key"},
		{name: "client's key", mechanism: Curve, client: Client, server: Server,
			change:     func(c, s *Config) { c.Curve.Public = s.Curve.Public },
			clientSays: `refused: the peer refuses: "Invalid key"`,
			serverSays: "key: INITIATE's vouch does not open: the peer does not have the key that it shows"},
		{name: "server's public key is not its own", mechanism: Curve, client: Client, server: Server,
			change:     func(_, s *Config) { s.Curve.Public[0] ^= 1 },
			clientSays: `refused: the peer refuses: "Invalid key"`,
			serverSays: "key: INITIATE's vouch is for another connection"},
		{name: "two servers", mechanism: Curve, client: Dealer, server: Dealer,
			change:     func(c, _ *Config) { c.AsServer = true },
			clientSays: "protocol: both ends take CURVE's server role", serverSays: "protocol: both ends take CURVE's server role"},
		{name: "two clients", mechanism: Curve, client: Dealer, server: Dealer,
			change:     func(c, s *Config) { s.AsServer, s.Curve.Server = false, c.Curve.Public },
			clientSays: `protocol: the peer sends "HELLO", not WELCOME`, serverSays: `protocol: the peer sends "HELLO", not WELCOME`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cc, sc := ends(t, c.mechanism, c.client, c.server)
			if c.change != nil {
				c.change(cc, sc)
			}
			p := newPair(cc, sc)
			p.run(t, 1000)
			for end, says := range map[error]string{p.clientErr: c.clientSays, p.serverErr: c.serverSays} {
				if end == nil && says == "" {
					continue
				}
				if e := new(Error); !errors.As(end, &e) || e.Cause.String()+": "+e.Detail != says {
					t.Errorf("%v, want %s", end, says)
				}
			}
			if p.server.Done() || p.server.Session() != nil || p.server.Waiting() != "" {
				t.Error("the server is done")
			}
			if n, out, err := p.server.Receive([]byte("more")); n != 0 || out != nil || !errors.Is(err, p.serverErr) {
				t.Error(n, out, err)
			}
		})
	}
}

// TestAuthorize sees all of the peer, and before it is told anything.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []Mechanism{Null, Curve} {
		cc, sc := ends(t, mechanism, Dealer, Router)
		want := Peer{Major: 3, Minor: 1, Mechanism: mechanism, Type: Dealer, Identity: "detector-7"}
		if mechanism == Curve {
			want.Key = cc.Curve.Public
		}
		asked := 0
		var p *pair
		sc.Authorize = func(got *Peer) error {
			asked++
			if *got != want || got != p.server.Peer() || p.server.Done() || p.client.Done() {
				t.Errorf("%+v, want %+v", got, want)
			}
			return nil
		}
		cc.Authorize = func(*Peer) error { t.Error("the end that connects is asked"); return nil }
		p = newPair(cc, sc)
		p.run(t, 1)
		if asked != 1 || !p.server.Done() || !p.client.Done() {
			t.Errorf("asked %d times, %v", asked, p.serverErr)
		}
	}
}

// TestCommandsOfHandshake: what a peer may send in place of READY.
func TestCommandsOfHandshake(t *testing.T) {
	t.Parallel()
	command := func(name, data string) string {
		body := AppendCommand(nil, name, []byte(data))
		return string(append(AppendHeader(nil, Header{Command: true, Size: uint64(len(body))}), body...))
	}
	for _, c := range []struct {
		name, in string
		want     string
		at       int    // how many bytes of in it takes
		told     string // the ERROR's reason; "" if there is none
	}{
		{name: "ERROR", in: command("ERROR", "\x03no\n"), want: `refused: the peer refuses: "no\n"`, at: 12},
		{name: "long ERROR", in: command("ERROR", "\xff"+strings.Repeat("x", 255)),
			want: `refused: the peer refuses: "` + strings.Repeat("x", 64) + `"...`, at: 271},
		{name: "ERROR cut off", in: command("ERROR", "\x03no"), want: "protocol: an ERROR's reason is cut off", at: 11, told: "Protocol error"},
		{name: "a message", in: "\x00\x05hello", want: "protocol: the peer sends a message, not READY", at: 1, told: "Protocol error"},
		{name: "a long message", in: "\x02\xff\xff\xff", want: "protocol: the peer sends a message, not READY", at: 1, told: "Protocol error"},
		{name: "reserved flags", in: "\x0c\x05READY", want: "protocol: a frame has reserved flags set", at: 1, told: "Protocol error"},
		{name: "MORE", in: "\x05\x05READY", want: "protocol: a command frame has MORE set", at: 1, told: "Protocol error"},
		{name: "PING", in: command("PING", "\x00\x00"), want: `protocol: the peer sends "PING", not READY`, at: 9, told: "Protocol error"},
		{name: "HELLO", in: command("HELLO", ""), want: `protocol: the peer sends "HELLO", not READY`, at: 8, told: "Protocol error"},
		{name: "empty command", in: "\x04\x00", want: "protocol: a command frame has no command name", at: 2, told: "Protocol error"},
		{name: "long form", in: "\x06\x00\x00\x00\x00\x00\x00\x00\x08\x05HELLO..", want: `protocol: the peer sends "HELLO", not READY`, at: 17, told: "Protocol error"},
		{name: "huge", in: "\x06\x80\x00\x00\x00\x00\x00\x00\x00", want: "protocol: a frame's size is 2^63 or more", at: 2, told: "Protocol error"},
		{name: "4097 bytes", in: "\x06\x00\x00\x00\x00\x00\x00\x10\x01",
			want: "protocol: a command of the handshake has 4097 bytes, more than 4096", at: 9, told: "Protocol error"},
		{name: "4096 bytes", in: command("READY", "\x01X\x00\x00\x0f\xf4"+strings.Repeat("x", 4084)),
			want: `socket_type: the peer is "", which ROUTER does not speak to`, at: 9 + 4096, told: "Invalid socket type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := NewHandshake(&Config{Type: Router, AsServer: true})
			if _, _, err := h.Receive(greeting(nil)); err != nil {
				t.Fatal(err)
			}
			for i := range len(c.in) {
				_, out, err := h.Receive([]byte(c.in[i : i+1]))
				if (err != nil) != (i+1 >= c.at) {
					t.Fatalf("after %d bytes: %v", i+1, err)
				}
				if err == nil || i+1 > c.at {
					continue
				}
				if e := asError(err); e.Cause.String()+": "+e.Detail != c.want {
					t.Errorf("%v: %v, want %s", e.Cause, e, c.want)
				}
				var want []byte
				if c.told != "" {
					want = AppendError(nil, c.told)
				}
				if !bytes.Equal(out, want) {
					t.Errorf("sends %q, want %q", out, want)
				}
			}
		})
	}
}

// TestMemory: what a peer announces costs nothing before it has come, and what
// has come is bounded.
func TestMemory(t *testing.T) {
	t.Parallel()
	h := NewHandshake(&Config{Type: Router, AsServer: true})
	_, _, err := h.Receive(append(greeting(nil), "\x06\x00\x00\x00\x00\x00\x00\x10\x00\x05READY"...))
	if err != nil || cap(h.part) > 64 {
		t.Errorf("%v, holds %d bytes for 15", err, cap(h.part))
	}
	total := greetingSize + 15
	for range 2 * MaxHandshake {
		n, _, err := h.Receive([]byte{0})
		if total += n; err != nil {
			break
		}
		if cap(h.part) > 2*MaxHandshakeCommand {
			t.Fatalf("holds %d bytes", cap(h.part))
		}
	}
	if total > MaxHandshake || h.part != nil || h.failed == nil {
		t.Errorf("has taken %d bytes, %v", total, h.failed)
	}
}

func TestAccepts(t *testing.T) {
	t.Parallel()
	all := []SocketType{Client, Server, Dealer, Router, Req, Rep, "PUB", "SUB", "PAIR", "PEER", "client", ""}
	want := map[SocketType][]SocketType{
		Client: {Server}, Server: {Client},
		Dealer: {Dealer, Router, Rep}, Router: {Dealer, Router, Req},
		Req: {Router, Rep}, Rep: {Dealer, Req},
	}
	for _, ours := range all {
		for _, peer := range all {
			if got, want := ours.Accepts(peer), slices.Contains(want[ours], peer); got != want {
				t.Errorf("%s accepts %s: %t", ours, peer, got)
			}
			if ours.Accepts(peer) != peer.Accepts(ours) {
				t.Errorf("%s and %s do not agree", ours, peer)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := newKeys(t)
	good.Server = newKeys(t).Public
	wrong, alone := *good, *good
	wrong.Public[5] ^= 1
	alone.Server = [32]byte{}
	low := *good
	low.Server = [32]byte{1} // a point of low order
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Type: Server, AsServer: true}, ""},
		{Config{Type: Dealer, Identity: strings.Repeat("x", 255)}, ""},
		{Config{Type: Dealer, Identity: strings.Repeat("x", 256)}, "zmtp: an identity has 256 bytes, more than 255"},
		{Config{Type: "PUB"}, `zmtp: socket type "PUB" is not supported`},
		{Config{}, `zmtp: socket type "" is not supported`},
		{Config{Type: Client, Curve: good}, ""},
		{Config{Type: Server, Curve: &alone, AsServer: true}, ""},
		{Config{Type: Client, Curve: &alone}, "zmtp: a CURVE client needs the server's public key"},
		{Config{Type: Client, Curve: &low}, "zmtp: the server's public key is none"},
		{Config{Type: Client, Curve: &wrong}, "zmtp: the public key does not belong to the secret key"},
	} {
		if err := c.config.Validate(); (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%+v: %v, want %s", c.config, err, c.want)
		}
	}
}

// TestUnprepared: a handshake works without Validate as well, and with keys
// that were changed after it.
func TestUnprepared(t *testing.T) {
	t.Parallel()
	cc, sc := ends(t, Curve, Client, Server)
	keys := newKeys(t)
	sc.Curve.Public, sc.Curve.Secret, cc.Curve.Server = keys.Public, keys.Secret, keys.Public
	for _, config := range []*Config{sc, {Type: Server, AsServer: true, Curve: keys}} {
		p := newPair(cc, config)
		p.run(t, 1000)
		if !p.client.Done() || !p.server.Done() {
			t.Error(p.clientErr, p.serverErr)
		}
	}
}
