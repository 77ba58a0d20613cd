package zmqbridge_test

import (
	"testing"

	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/zmqbridge"
)

// TestStatsOutliveClose: whoever measures the bridge need not know that it closes, and
// what counts upwards does not fall by it.
func TestStatsOutliveClose(t *testing.T) {
	_, bridge := open(t, func(o *zmqbridge.Options) { o.Engine, o.Servers = "zmtp", []string{"tcp://127.0.0.1:*"} })
	take(t, dial(t, native.Client, bridge.Servers()[0]), `{"flow":"BOT","direction":"inject","credit":2,"count":3}`, 3)
	before := bridge.Stats()
	if len(before) != 1 || before[0].Connections != 1 || before[0].Handshakes["ok"] != 1 || before[0].BytesIn == 0 {
		t.Fatalf("the bridge describes itself as %+v", before)
	}
	closed := make(chan error)
	go func() { closed <- bridge.Close() }()
	for open := true; open; {
		select {
		case err := <-closed:
			if open = false; err != nil {
				t.Error(err)
			}
		default:
			bridge.Stats()
		}
	}
	after := bridge.Stats()
	if len(after) != 1 || after[0].Connections != 0 || after[0].Handshakes["ok"] != 1 || after[0].BytesIn < before[0].BytesIn {
		t.Errorf("after Close it describes itself as %+v, before as %+v", after, before)
	}
	if err := bridge.Close(); err != nil {
		t.Errorf("closing it again: %v", err)
	}
}
