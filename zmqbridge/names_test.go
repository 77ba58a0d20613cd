package zmqbridge_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// named is how a DEALER of that name comes from that address.
func named(name, from string) dialing {
	return dialing{Config: zmtp.Config{Type: zmtp.Dealer, Identity: name}, from: from, minor: 1}
}

// elsewhere is another address of this machine.
const elsewhere = "127.0.0.2"

// wantRefused checks that a peer was sent an ERROR with those words.
func wantRefused(t *testing.T, err error, words string) {
	t.Helper()
	refusal, ok := errors.AsType[*zmtp.Error](err)
	if !ok || refusal.Cause != zmtp.CauseRefused || !strings.Contains(refusal.Detail, words) {
		t.Errorf("the peer was told %v, want an ERROR with %q", err, words)
	}
}

func TestNameWithZeroByte(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(*setup) {})
	for _, name := range []string{"\x00", "\x00abcd", "\x00\x00\x00\x00\x01"} {
		_, err := g.try(named(name, ""))
		wantRefused(t, err, "must not begin with a zero byte")
	}
	until(t, "all are counted", func() bool { return g.stats(zmtp.Dealer).Handshakes["name"] == 3 })
	// A SERVER knows no names: it does not matter there.
	g.dialWith(dialing{Config: zmtp.Config{Type: zmtp.Client, Identity: "\x00abcd"}})
}

// The newer of two connections of one name is served at once if it comes from the same
// host; the flow of the older one ends.
func TestNameOfTheSameHost(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(s *setup) { s.bridge.Heartbeat, s.bridge.HeartbeatTimeout = time.Minute, time.Minute })
	w := g.broker.Watch(10)
	defer w.Close()
	taker, older := g.dial(zmtp.Client), g.dialWith(named("twin", ""))
	g.opens(taker, older, 5)
	newer := g.dialWith(named("twin", ""))
	taker.want(zio.EOT, `"error":"peer_gone"`, "another connection has taken its name")
	older.wantClosed()
	if ended := waitForEnd(t, w); ended.Reason != flow.PeerGone {
		t.Errorf("the flow ended with %v, want peer_gone", ended.Reason)
	}
	g.opens(taker, newer, 5)
	g.closes(taker, newer)
	until(t, "the older one is counted as replaced", func() bool { return g.stats(zmtp.Dealer).Ended["replaced"] == 1 })
	if n := len(g.logged("connection ended", "cause=replaced")); n != 1 {
		t.Errorf("%d lines tell of it, want 1", n)
	}
}

// From another host it is refused while the older one is there.
func TestNameOfAnotherHost(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(s *setup) { s.bridge.Heartbeat, s.bridge.HeartbeatTimeout = time.Minute, time.Minute })
	taker, older := g.dial(zmtp.Client), g.dialWith(named("twin", ""))
	g.opens(taker, older, 5)
	answered := make(chan struct{})
	go func() { // as libzmq's own goroutine would
		defer close(answered)
		h, body, err := older.next()
		if err == nil && h.Command {
			err = older.command(body)
		}
		if err != nil || older.pings != 1 {
			t.Errorf("%v, want a PING", err)
		}
	}()
	_, err := g.try(named("twin", elsewhere))
	wantRefused(t, err, `the identity \"twin\" is in use`)
	<-answered
	until(t, "it is counted", func() bool { return g.stats(zmtp.Dealer).Handshakes["name"] == 1 })
	until(t, "it is logged", func() bool { return len(g.logged("connection refused")) > 0 })
	if n := len(g.logged("connection refused", "cause=name")); n != 1 {
		t.Errorf("%d lines tell of it, want 1", n)
	}
	older.say(`{"flow":"DAT"}`, []byte("still there"))
	taker.want(zio.DAT)
	g.closes(taker, older)
}

// An older one that shows no life makes room, whether it can be asked or not.
func TestNameOfASilentPeer(t *testing.T) {
	t.Parallel()
	const heartbeat = 300 * time.Millisecond
	for minor := range byte(2) {
		t.Run(fmt.Sprint("ZMTP 3.", minor), func(t *testing.T) {
			t.Parallel()
			g := newRig(t, func(s *setup) { s.bridge.Heartbeat, s.bridge.HeartbeatTimeout = heartbeat, time.Minute })
			d := named("twin", "")
			d.minor = minor
			older := g.dialWith(d)
			began := time.Now()
			newer := g.dialWith(named("twin", elsewhere))
			if took := time.Since(began); took > 2*heartbeat+time.Second {
				t.Errorf("the newer one was let in after %v, want %v", took, 2*heartbeat)
			}
			older.mute = true
			older.wantClosed()
			taker := g.dial(zmtp.Client)
			g.opens(taker, newer, 5)
			g.closes(taker, newer)
		})
	}
}

// With CURVE the key says who it is, not the address.
func TestNameAndKey(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(s *setup) { s.curve, s.bridge.Heartbeat = true, time.Minute })
	other := newPair(t)
	g.policy.Replace(rules(t, fmt.Sprintf(
		"identities: [{name: one, roles: [handler], curve-keys: ['%s']}, {name: two, roles: [handler], curve-keys: ['%s']}]",
		g.client.public, other.public)))
	older := g.dialWith(named("twin", ""))
	newer := g.dialWith(named("twin", elsewhere)) // the same key: served
	older.wantClosed()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if h, body, err := newer.next(); err != nil || !h.Command || newer.command(body) != nil {
			t.Errorf("%v came, %v, want a PING", h, err)
		}
	}()
	thief := named("twin", elsewhere)
	thief.Curve = curveKeys(t, other, g.server.public)
	_, err := g.try(thief) // the same address, but another key
	wantRefused(t, err, "is in use")
	<-answered
}

// A program with a fixed name that is killed and started again, without a pause,
// is served every time.
func TestNameKilledAndStarted(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(s *setup) { s.bridge.Heartbeat = time.Minute })
	taker := g.dial(zmtp.Client)
	large := dats(newRand(0))[9]
	for i := range 400 {
		p := g.dialWith(named("fixed", ""))
		taker.say(bot(zio.Inject, 5, 0))
		p.say(bot(zio.Extract, 5, g.offered().CID))
		p.want(zio.BOT)
		taker.want(zio.BOT)
		if i%3 == 0 { // with bytes on the way
			p.write(p.wire(nil, large)[:50_000])
		}
		if i%2 == 0 {
			reset(p)
		} else { // its connection stays, as one behind a network that was cut
			g.dialWith(named("fixed", ""))
		}
		taker.want(zio.EOT, `"error":"peer_gone"`)
	}
	reset(g.dialWith(named("fixed", "")))
	_ = taker.Close()
	until(t, "nothing is held", func() bool {
		s := g.stats(zmtp.Dealer)
		return g.broker.Held() == 0 && s.Connections == 0 && s.Handshaking == 0
	})
}
