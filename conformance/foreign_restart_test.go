package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
)

// onNamed runs a test with every kind of peer that can have a name of its own.
func onNamed(t *testing.T, curve bool, test func(t *testing.T, k foreignKind)) {
	for _, k := range foreignKinds(curve) {
		if k.via == viaDealer {
			t.Run(k.name, func(t *testing.T) { test(t, k) })
		}
	}
}

// TestForeignNamed_BRK_17: a program with a name of its own that is killed and started
// again is served every time, and the flow that it left ends.
func TestForeignNamed_BRK_17(t *testing.T) {
	onBothMechanisms(t, func(t *testing.T, curve bool) {
		g := startForeign(t, curve, nil)
		onNamed(t, curve, func(t *testing.T, k foreignKind) {
			var before *foreignFlow
			for n := range 3 {
				f := g.begin(t, g.foreign(t, k, "identity=reader-7"), roles[n], 2)
				f.cross(t, 1)
				if before != nil {
					checkOwnEOT(t, before.told(t), flow.PeerGone, " left")
				}
				if before = f; n < 2 {
					f.foreign.leave()
				}
			}
			before.end(t)
		})
	})
}

// TestForeignTakenOver_BRK_17: a program with a name of its own that was stopped, so that
// its connection is still there, and is started again beside that.
func TestForeignTakenOver_BRK_17(t *testing.T) {
	notWithLibzmq(t, "does not read the newer of two connections with one name, as long as there is the older")
	onBothMechanisms(t, func(t *testing.T, curve bool) {
		g := startForeign(t, curve, nil)
		onNamed(t, curve, func(t *testing.T, k foreignKind) {
			older := g.begin(t, g.foreign(t, k, "identity=reader-7"), roles[0], 2)
			older.foreign.freeze(t)
			newer := g.begin(t, g.foreign(t, k, "identity=reader-7"), roles[1], 2)
			checkOwnEOT(t, older.told(t), flow.PeerGone, " left")
			older.foreign.leave() // or it would take its name back
			newer.cross(t, 2)
			newer.end(t)
		})
	})
}

// TestForeignRestart_BRK_12_BRK_18: when the gateway was killed and started again, the
// next DAT of every peer is answered by "unknown flow", and it begins anew.
func TestForeignRestart_BRK_12_BRK_18(t *testing.T) {
	onBothMechanisms(t, func(t *testing.T, curve bool) {
		arguments, keys := []string{"--grpc=none", "--http=none"}, (*native.CurveKeys)(nil)
		if curve {
			var more []string
			more, keys = writeCurve(t)
			arguments = append(arguments, more...)
		}
		old := serveAt(t, ephemeral[:2], arguments, nil)
		var peers []*foreignPeer
		for _, k := range foreignKinds(curve) {
			peers = append(peers, startForeignPeer(t, k, old.addresses[k.via], keys))
		}
		for _, p := range peers {
			p.giveToDump(t)
		}
		old.signal(t, syscall.SIGKILL)
		old.wait(t, patience)
		serveAt(t, []string{"--zmq-server=" + old.addresses[viaClient], "--zmq-router=" + old.addresses[viaDealer]}, arguments, nil)
		for _, p := range peers {
			if m := p.goesOn(t); m.End.Reason != "unknown flow" {
				t.Errorf("%v received %s, want error \"unknown flow\"", p.kind, m.Label)
			}
			p.giveToDump(t)
			mustSend(t, p, eotMessage())
			if m := mustRecv(t, p, zio.EOT); m.End.Reason != "" {
				t.Errorf("%v: the new flow ended with %s", p.kind, m.Label)
			}
		}
	})
}

// giveToDump opens a flow that the built-in handler takes, and gives one DAT. An EOT of
// the flow before may come first.
func (p *foreignPeer) giveToDump(t *testing.T) {
	t.Helper()
	mustSend(t, p, flowMessage(`{"flow":"BOT","direction":"extract","credit":2,"builtin":"dump"}`))
	p.skipTo(t, zio.BOT)
	mustRecv(t, p, zio.PAY)
	mustSend(t, p, datMessage([]byte("data")))
	mustRecv(t, p, zio.PAY)
}

// goesOn sends a DAT, as if nothing had happened, and receives the EOT that answers it.
// What went into the connection that was lost, or a library without one forgets, is sent
// again.
func (p *foreignPeer) goesOn(t *testing.T) *message {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		mustSend(t, p, datMessage([]byte("goes on")))
		m, err := p.recvWithin(time.Second)
		if err == nil && m.Type == zio.EOT {
			return m
		}
		if !errors.Is(err, native.ErrTimeout) {
			t.Fatalf("%v received %+v, %v, want an EOT", p.kind, m, err)
		}
	}
	t.Fatalf("%v was not answered", p.kind)
	return nil
}

// writeCurve writes the keys of a gateway, with the arguments that name them, and those
// of its peers.
func writeCurve(t *testing.T) (arguments []string, keys *native.CurveKeys) {
	t.Helper()
	keys, secret := newCurveKeys(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"server.curve": secret,
		"identities":   fmt.Sprintf("identities: [{name: peer, roles: [client], curve-keys: ['%s']}]", keys.Public),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--zmq-curve-key=" + filepath.Join(dir, "server.curve"), "--identities=" + filepath.Join(dir, "identities")}, keys
}
