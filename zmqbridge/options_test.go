package zmqbridge_test

import (
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/zmqbridge"
)

// What the options leave out is refused by its name, and not taken for something else.
func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(flow.Draining, "the test is over")
	for want, spoil := range map[string]func(*zmqbridge.Options){
		"max-message is 0":        func(o *zmqbridge.Options) { o.MaxMessage = 0 },
		"high-water is 0":         func(o *zmqbridge.Options) { o.HighWater = 0 },
		"max-connections is -1":   func(o *zmqbridge.Options) { o.MaxConnections = -1 },
		"max-handshakes is 0":     func(o *zmqbridge.Options) { o.MaxHandshakes = 0 },
		"stall-timeout is 0":      func(o *zmqbridge.Options) { o.Stall = 0 },
		"pressed-stall is 0":      func(o *zmqbridge.Options) { o.PressedStall = 0 },
		"handshake is 0":          func(o *zmqbridge.Options) { o.Handshake = 0 },
		"linger is -1ns":          func(o *zmqbridge.Options) { o.Linger = -1 },
		"heartbeat is -1ns":       func(o *zmqbridge.Options) { o.Heartbeat = -1 },
		"heartbeat-timeout is 0s": func(o *zmqbridge.Options) { o.HeartbeatTimeout = 0 },
	} {
		o := zmqbridge.DefaultOptions(b.Options())
		o.Servers = []string{"tcp://127.0.0.1:*"}
		spoil(&o)
		bridge, err := zmqbridge.Open(b, o)
		if err == nil {
			_ = bridge.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want+", want") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	o := zmqbridge.DefaultOptions(b.Options())
	o.Log, o.Linger, o.Heartbeat, o.HeartbeatTimeout = nil, 0, 0, 0 // each has a meaning
	bridge, err := zmqbridge.Open(b, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := bridge.Close(); err != nil {
		t.Error(err)
	}
}
