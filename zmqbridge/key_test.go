package zmqbridge_test

import (
	"strings"
	"testing"

	"github.com/zioflow/gateway/zmtp"
)

// Another key of the gateway's holds for connections from then on; those there are go
// on with theirs.
func TestAnotherServerKey(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(s *setup) { s.curve = true })
	before := g.server
	taker, giver := g.dial(zmtp.Client), g.dial(zmtp.Dealer)
	g.opens(taker, giver, 5)
	after := newPair(t)
	if err := g.bridge.SetCurveKey(after.secret); err != nil {
		t.Fatal(err)
	}
	g.closes(taker, giver)
	g.opens(taker, giver, 5) // another flow on them, too
	g.closes(taker, giver)
	for _, kind := range []zmtp.SocketType{zmtp.Client, zmtp.Dealer} {
		d := dialing{Config: zmtp.Config{Type: kind, Curve: curveKeys(t, g.client, before.public)}, minor: 1}
		if _, err := g.try(d); err == nil || !strings.Contains(err.Error(), "Invalid key") {
			t.Errorf("a %s with the key of before was told %v", kind, err)
		}
	}
	g.server = after
	taker, giver = g.dial(zmtp.Client), g.dial(zmtp.Dealer)
	g.opens(taker, giver, 5)
	g.closes(taker, giver)
	for _, wrong := range []string{"", "short", strings.Repeat("!", 41)} {
		if err := g.bridge.SetCurveKey(wrong); err == nil {
			t.Errorf("the key %q was taken", wrong)
		}
	}
	g.dial(zmtp.Client) // the one before is still in use
	plain := newRig(t, func(*setup) {})
	if err := plain.bridge.SetCurveKey(after.secret); err == nil {
		t.Error("addresses without CURVE took a key")
	}
}
