package dial

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/zioflow/gateway/zmtp"
)

// TestOptions: what makes no sense is refused before anything is connected, by name.
func TestOptions(t *testing.T) {
	t.Parallel()
	dialled := func(context.Context, string, string) (net.Conn, error) {
		t.Error("something was dialled")
		return nil, errors.New("no")
	}
	for want, change := range map[string]func(*Options){
		"begins with tcp://": func(o *Options) { o.Address = "nonsense" },
		`"ROUTER"`:           func(o *Options) { o.Type = zmtp.Router },
		"only a DEALER":      func(o *Options) { o.Type, o.Identity = zmtp.Client, "name" },
		"zero byte":          func(o *Options) { o.Identity = "\x00name" },
		"255":                func(o *Options) { o.Identity = strings.Repeat("n", 256) },
		"public key":         func(o *Options) { o.Curve = &zmtp.CurveKeys{Secret: [32]byte{1}} },
		"heartbeat is":       func(o *Options) { o.Heartbeat = -1 },
		"heartbeat timeout":  func(o *Options) { o.HeartbeatTimeout = 0 },
		"retry":              func(o *Options) { o.LastRetry = o.FirstRetry - 1 },
		"first retry":        func(o *Options) { o.FirstRetry = 0 },
		"connect is":         func(o *Options) { o.Connect = 0 },
		"handshake is":       func(o *Options) { o.Handshake = -1 },
		"stall is":           func(o *Options) { o.Stall = 0 },
		"largest message":    func(o *Options) { o.MaxMessage = 0 },
		"most parts":         func(o *Options) { o.MaxParts = 0 },
		"bytes outgoing":     func(o *Options) { o.Outgoing.Bytes = 0 },
		"messages incoming":  func(o *Options) { o.Incoming.Messages = 0 },
	} {
		o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Dealer)
		change(&o)
		c, err := newConn(o, dialled)
		if err == nil {
			_ = c.Close(0)
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), o.Address) {
			t.Errorf("%v, want an error that says %q and names the address", err, want)
		}
	}
}
