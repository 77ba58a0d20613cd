package proxies_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
)

// TestProxies: through every proxy go what goes without one. The gateway's connections
// become old meanwhile.
func TestProxies(t *testing.T) {
	s, configs := newSite(t), configurations(t)
	var names []string
	for name := range configs {
		if !strings.Contains(name, "-") { // those are for TCP
			names = append(names, name)
		}
	}
	if len(names) != 5 {
		t.Fatalf("the document has %v", names)
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := s.start(t, name, configs[name])[":443"]
			v := newVisit(t, s, name, address)
			t.Run("both ways", v.bothWays)
			t.Run("held up", v.heldUp)
			t.Run("not read", v.notRead)
			t.Run("idle", func(t *testing.T) { v.idle(t, impatient(t, s, name, configs[name])) })
			t.Run("gone", v.gone)
			t.Run("operators", v.operators)
		})
	}
	t.Run("TCP", func(t *testing.T) { throughTCP(t, s, configs) })
}

// throughTCP: what is for TCP passes ZeroMQ on, and TLS as it is.
func throughTCP(t *testing.T, s *site, configs map[string]string) {
	for _, name := range []string{"haproxy-tcp", "nginx-tcp"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := s.start(t, name, configs[name])
			for kind, printed := range map[native.Kind]string{native.Client: "192.0.2.10:5555", native.Dealer: "192.0.2.10:5556"} {
				throughZeroMQ(t, kind, "tcp://"+at[printed])
			}
			// The gateway's own gRPC, which is in clear text here: no proxy looks.
			g, err := zioflow.Dial(at["192.0.2.10:7575"])
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = g.Close() }()
			(&visit{ctx: t.Context()}).generated(t, &client{Gateway: g})
		})
	}
}

// throughZeroMQ takes a flow of 20 MB messages, after a silence of several heartbeats.
func throughZeroMQ(t *testing.T, kind native.Kind, address string) {
	t.Helper()
	peer, err := native.Dial(kind, address, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close(0) }()
	flow, err := native.Open(peer, 0, []byte(`{"flow":"BOT","direction":"inject","credit":2,"builtin":"generate","count":3,"size":20000000}`), nil, patience)
	if err != nil {
		t.Fatalf("%v at %s: %v", kind, address, err)
	}
	n := 0
	for ; ; n++ {
		m, err := flow.Get()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(m.Payload) != 1 || len(m.Payload[0]) != 20_000_000 {
			t.Fatalf("%v at %s: %v", kind, address, err)
		}
	}
	if n != 3 {
		t.Errorf("%v at %s: %d messages came", kind, address, n)
	}
}

// TestSticky: with the words that the document has for it, handlers behind a proxy of
// several gateways get their offers and accept them at the same one.
func TestSticky(t *testing.T) {
	s, configs := newSite(t), configurations(t)
	other := run(t).Addresses().GRPC
	host, port, _ := strings.Cut(other, ":")
	for name, words := range map[string][]string{
		"haproxy": {"\nbackend gateways\n", "\nbackend gateways\n  balance source\n  server two OTHER proto h2 max-reuse 0\n"},
		"nginx":   {"    server 127.0.0.1:7575;\n", "    ip_hash;\n    server 127.0.0.1:7575;\n    server OTHER;\n"},
		"caddy":   {"reverse_proxy h2c://127.0.0.1:7575 {\n", "reverse_proxy h2c://127.0.0.1:7575 h2c://OTHER {\nlb_policy ip_hash\n"},
		"nghttpx": {"backend=127.0.0.1,7575;;proto=h2;", "backend=HOST,PORT;;proto=h2;affinity=ip\nbackend=127.0.0.1,7575;;proto=h2;affinity=ip;"},
		"envoy": {
			"timeout: 0s }", "timeout: 0s, hash_policy: [{ connection_properties: { source_ip: true } }] }",
			"    connect_timeout: 5s\n", "    connect_timeout: 5s\n    lb_policy: RING_HASH\n",
			"      - lb_endpoints:\n", "      - lb_endpoints:\n        - endpoint: { address: { socket_address: { address: HOST, port_value: PORT } }, health_check_config: { port_value: 7576 } }\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := configs[name]
			for i := 0; i < len(words); i += 2 {
				changed := strings.Replace(config, words[i], strings.NewReplacer("OTHER", other, "HOST", host, "PORT", port).Replace(words[i+1]), 1)
				if changed == config {
					t.Fatalf("the document's configuration has no %q", words[i])
				}
				config = changed
			}
			v := newVisit(t, s, name, s.start(t, name, config)[":443"])
			for range 6 {
				giver, o := v.begin(t, v.client)
				giver.Abort()
				o.done <- nil
			}
		})
	}
}

// visit is a handler and a client at a proxy.
type visit struct {
	site    *site
	name    string // also of the stream that the handler takes
	address string
	offers  chan offered
	client  *client
	ctx     context.Context
}

// offered is a flow that the handler has been offered, with what it is to return.
type offered struct {
	*zioflow.Offer
	ctx  context.Context
	done chan error
}

func newVisit(t *testing.T, s *site, name, address string) *visit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience+silence(t))
	v := &visit{site: s, name: name, address: address, offers: make(chan offered), client: s.connect(t, address), ctx: ctx}
	handlers := s.connect(t, address)
	var serving sync.WaitGroup
	listens := make(chan struct{}, 100)
	listener := zioflow.Listener{
		Name: name, Match: fmt.Sprintf("attributes.via == %q", name),
		OnListening: func(uint64) { listens <- struct{}{} },
		OnLost:      func(err error, _ time.Duration) { t.Logf("the listener is lost: %v", err) },
	}
	serving.Go(func() {
		err := handlers.Serve(ctx, listener, func(ctx context.Context, offer *zioflow.Offer) error {
			o := offered{offer, ctx, make(chan error, 1)}
			select {
			case v.offers <- o:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case err := <-o.done:
				return err
			case <-ctx.Done(): // of a test that failed meanwhile
				return ctx.Err()
			}
		})
		if ctx.Err() == nil {
			t.Errorf("the handler stopped: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); serving.Wait() })
	select {
	case <-listens:
	case <-time.After(patience):
		t.Fatal("the handler does not listen")
	}
	return v
}

// bot is that of a flow for the handler.
func (v *visit) bot(credit int64) zioflow.Bot {
	return zioflow.Bot{Credit: credit, Attributes: map[string]any{"via": v.name}}
}

// accept accepts the next offer. One whose listener is lost meanwhile, with its connection, is
// followed by another. It is the end of the test if its client's side has failed before that.
func accept[F any](
	t *testing.T, v *visit, how func(*zioflow.Offer, context.Context, zioflow.Bot) (F, error), failed <-chan error,
) (offered, F) {
	t.Helper()
	for {
		select {
		case o := <-v.offers:
			f, err := how(o.Offer, o.ctx, zioflow.Bot{})
			if err == nil {
				return o, f
			}
			if o.done <- err; o.ctx.Err() == nil {
				t.Fatal(err)
			}
		case err := <-failed:
			t.Fatal(err)
		case <-v.ctx.Done():
			t.Fatal("the handler is offered nothing")
		}
	}
}

// large is a payload of 20 MB whose every byte tells where it is.
var large = sync.OnceValue(func() []byte {
	block := make([]byte, 251)
	for i := range block {
		block[i] = byte(i)
	}
	return bytes.Repeat(block, 20_000_000/len(block))
})

// count is how many messages go each way, and many is more than wait somewhere.
const count, many = 1, 6

// bothWays gives large messages to the handler, and has it give them.
func (v *visit) bothWays(t *testing.T) {
	done := make(chan error, 1)
	go func() {
		giver, err := v.client.Give(v.ctx, v.bot(2))
		if err == nil {
			err = giveAll(v.ctx, giver)
		}
		done <- err
	}()
	o, taker := accept(t, v, (*zioflow.Offer).Take, done)
	if host, _, _ := net.SplitHostPort(o.Peer.Address); host != "127.0.0.1" {
		t.Errorf("the gateway sees %s, not the proxy", o.Peer.Address)
	}
	err := takeAll(o.ctx, taker)
	if o.done <- err; err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	go func() {
		taker, err := v.client.Take(v.ctx, v.bot(2))
		if err == nil {
			err = takeAll(v.ctx, taker)
		}
		done <- err
	}()
	o, giver := accept(t, v, (*zioflow.Offer).Give, done)
	err = giveAll(o.ctx, giver)
	if o.done <- err; err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func giveAll(ctx context.Context, giver *zioflow.Giver) error {
	for range count {
		if err := giver.Put(ctx, zioflow.Dat{Payload: [][]byte{large()}}); err != nil {
			return err
		}
	}
	return giver.Close(ctx)
}

func takeAll(ctx context.Context, taker *zioflow.Taker) error {
	n := 0
	for dat, err := range taker.All(ctx) {
		if err != nil {
			return err
		}
		if n++; len(dat.Payload) != 1 || !bytes.Equal(dat.Payload[0], large()) {
			return fmt.Errorf("message %d is not what was given", n)
		}
	}
	if n != count {
		return fmt.Errorf("%d messages came", n)
	}
	return nil
}

// heldUp: a flow that is held back, since nobody takes what it gives, holds up no other.
func (v *visit) heldUp(t *testing.T) {
	done := make(chan error, 1)
	go func() {
		summary, err := v.client.PutAll(v.ctx, v.bot(1), func(yield func(zioflow.Dat, error) bool) {
			for range many {
				if !yield(zioflow.Dat{Payload: [][]byte{large()[:4_000_000]}}, nil) {
					return
				}
			}
		})
		if err == nil && summary.Messages != many {
			err = fmt.Errorf("%d messages were taken", summary.Messages)
		}
		done <- err
	}()
	o, taker := accept(t, v, (*zioflow.Offer).Take, done)
	if _, err := taker.Next(o.ctx); err != nil { // what follows is held back
		t.Fatal(err)
	}
	other := v.client
	if v.name == "haproxy" { // as the document says
		other = v.site.connect(t, v.address)
	}
	v.generated(t, other)
	var err error
	for range many - 1 {
		_, more := taker.Next(o.ctx)
		err = errors.Join(err, more)
	}
	err = errors.Join(err, taker.Close(o.ctx))
	if o.done <- err; err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// notRead: a client that reads nothing holds up no other, and none of its own flows.
func (v *visit) notRead(t *testing.T) {
	n := 0
	for dat, err := range v.client.GetAll(v.ctx, zioflow.Bot{Credit: 10, Attributes: map[string]any{"builtin": "generate", "count": 6, "size": 4 << 20}}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			v.generated(t, v.client)
			v.generated(t, v.site.connect(t, v.address))
		}
		if len(dat.Payload[0]) != 4<<20 {
			t.Errorf("message %d has %d bytes", n, len(dat.Payload[0]))
		}
	}
	if n != 6 {
		t.Errorf("%d messages came", n)
	}
}

// generated takes a flow of some MB.
func (v *visit) generated(t *testing.T, c *client) {
	t.Helper()
	n := 0
	for _, err := range c.GetAll(v.ctx, zioflow.Bot{Credit: 5, Attributes: map[string]any{"builtin": "generate", "count": 5, "size": 1 << 20}}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 5 {
		t.Fatalf("%d messages came", n)
	}
}

// impatient is the address of the same proxy with times of a few seconds, and empty if it
// has none.
func impatient(t *testing.T, s *site, name, config string) string {
	t.Helper()
	short := strings.NewReplacer(" 7d", " 2s", "=168h", "=2s", " 604800s", " 2s").Replace(config)
	if short == config {
		return ""
	}
	return s.start(t, name, short)[":443"]
}

// idle: a flow that is silent for longer than the proxy would otherwise wait goes on. That
// it would have ended is seen at a proxy that does not wait for long.
func (v *visit) idle(t *testing.T, short string) {
	giver, o := v.begin(t, v.client)
	if short != "" {
		impatient := v.site.connect(t, short)
		cut, theirs := v.begin(t, impatient)
		_, err := theirs.taker.Next(v.ctx)
		if got := zioflow.ReasonOf(err); got != zioflow.PeerGone {
			t.Errorf("the handler of a flow that a proxy has cut is told %v: %v", got, err)
		}
		theirs.done <- nil
		cut.Abort()
	}
	v.longer(t)
	if err := giver.Put(v.ctx, zioflow.Dat{Payload: [][]byte{{1}}}); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- giver.Close(v.ctx) }()
	if dat, err := o.taker.Next(v.ctx); err != nil || len(dat.Payload) != 1 {
		t.Error(err)
	}
	if _, err := o.taker.Next(v.ctx); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	o.done <- nil
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// longer waits for TEST_PROXIES_IDLE, if it is set: longer than all that proxies have as
// their defaults.
func (v *visit) longer(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(silence(t)):
	case <-v.ctx.Done():
		t.Fatal("there was no time")
	}
}

// silence is how long a flow is idle besides.
func silence(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TEST_PROXIES_IDLE")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// taken is an offer that was taken.
type taken struct {
	offered
	taker *zioflow.Taker
}

// begin begins a flow in which nothing moves.
func (v *visit) begin(t *testing.T, c *client) (*zioflow.Giver, taken) {
	t.Helper()
	begun, failed := make(chan *zioflow.Giver, 1), make(chan error, 1)
	go func() {
		giver, err := c.Give(v.ctx, v.bot(1))
		if err != nil {
			failed <- err
			return
		}
		begun <- giver
	}()
	o, taker := accept(t, v, (*zioflow.Offer).Take, failed)
	select {
	case giver := <-begun:
		return giver, taken{o, taker}
	case err := <-failed:
		t.Fatal(err)
		return nil, taken{}
	}
}

// gone: whoever dies, or breaks off, in the middle of a flow never makes it look complete.
func (v *visit) gone(t *testing.T) {
	for how, end := range map[string]func(*client, *zioflow.Giver){
		"killed":    func(c *client, _ *zioflow.Giver) { c.die() },
		"cancelled": func(_ *client, g *zioflow.Giver) { g.Abort() },
	} {
		c := v.site.connect(t, v.address)
		giver, o := v.begin(t, c)
		if err := giver.Put(v.ctx, zioflow.Dat{Payload: [][]byte{{1}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := o.taker.Next(v.ctx); err != nil {
			t.Fatal(err)
		}
		end(c, giver)
		if _, err := o.taker.Next(v.ctx); zioflow.ReasonOf(err) != zioflow.PeerGone {
			t.Errorf("%s: the handler is told %v", how, err)
		}
		o.done <- nil
	}
}

// operators are not served, as all seem to be on the gateway's machine.
func (v *visit) operators(t *testing.T) {
	_, err := v.client.Admin().GetStatus(v.ctx, &gatewayv1.GetStatusRequest{})
	want := []codes.Code{codes.PermissionDenied}
	if v.name == "nghttpx" {
		want = []codes.Code{codes.Unavailable}
	}
	if !slices.Contains(want, status.Code(err)) {
		t.Errorf("AdminService: %v", err)
	}
}
