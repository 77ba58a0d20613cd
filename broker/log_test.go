package broker_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
)

// Beginnings of the plays below.
const (
	offered = `L listens raw
c> BOT extract 4`
	accepted = offered + `
h> {"flow":"BOT","direction":"inject","credit":2,"cid":$cid1}
h> PAY 2`
)

// TestLogOfEveryEnd: a flow that ends, whatever for, leaves one line with its
// number, its peers and the reason, and every line about it has the same words.
func TestLogOfEveryEnd(t *testing.T) {
	plays := map[flow.Reason]string{
		flow.Completed:       accepted + "\nc> DAT \"data\"\nc> EOT\nh> EOT",
		flow.Rejected:        offered + "\nl> decline $cid1 \"no\"",
		flow.NoHandler:       "c> BOT extract 4\nwait 2s",
		flow.HandlerTimeout:  offered + "\nwait 5s",
		flow.PeerGone:        accepted + "\nh leaves",
		flow.CreditViolation: accepted + "\nh> PAY 1",
		flow.ProtocolError:   accepted + "\nh> DAT",
		flow.MessageTooLarge: accepted + "\nc> DAT *1001",
		flow.Overrun:         accepted + "\nh breaks overrun\nc> DAT",
		flow.IdleTimeout:     accepted + "\nwait 2h",
		flow.EOTTimeout:      accepted + "\nc> EOT\nwait 30s",
		flow.EndedByAdmin:    accepted + "\nend 1 \"enough\"",
		flow.Restarted:       accepted + "\nc> BOT extract 4",
		flow.Draining:        accepted + "\nclose",
		flow.Overloaded:      strings.Replace(accepted, "raw", "raw max=1", 1) + "\nd> BOT extract 4\nwait 5s",
	}
	for _, reason := range flow.Reasons() {
		t.Run(reason.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkLog(t, plays[reason], reason) })
		})
	}
}

// checkLog plays, and looks for what is logged of the flow that ends first.
func checkLog(t *testing.T, play string, want flow.Reason) {
	log := &jsonLog{}
	options := broker.DefaultOptions()
	options.IdleTimeout, options.MaxMessage = time.Hour, 1000
	options.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	newPlay(t, b).acts(play)
	defer b.Close(flow.Draining, "")

	ended := log.find(t, "flow ended")
	if len(ended) != 1 {
		t.Fatalf("%d lines tell of an end:\n%s", len(ended), log)
	}
	info := b.Flow(transport.FlowID(ended[0]["flow"].(float64))).Info()
	for name, value := range map[string]any{
		"level": "INFO", "flow": float64(info.ID), "reason": want.String(), "detail": info.Detail,
		"client": info.Client.String(), "handler": info.Handler.String(),
		"messages": float64(info.Data.Messages), "bytes": float64(info.Data.Bytes),
	} {
		if ended[0][name] != value {
			t.Errorf("%s is %v, want %v", name, ended[0][name], value)
		}
	}
	if ended[0]["attributes"] != "{}" || ended[0]["duration"] != float64(info.Ended.Sub(info.Opened)) {
		t.Errorf("attributes %v, duration %v; the flow lasted %v", ended[0]["attributes"], ended[0]["duration"], info.Ended.Sub(info.Opened))
	}
	if want != flow.Completed && info.Detail == "" {
		t.Error("the flow's end has no detail")
	}
	if active := log.find(t, "flow active"); strings.HasPrefix(play, "L listens") && strings.Contains(play, "h>") {
		if len(active) != 1 || active[0]["client"] != "fake c" || active[0]["handler"] != "fake h" || active[0]["flow"] != 1.0 {
			t.Errorf("when it became active, the log had %v", active)
		}
	}
}

// TestLogOfARefusal: a BOT that becomes no flow leaves a line as well.
func TestLogOfARefusal(t *testing.T) {
	log := &jsonLog{}
	options := broker.DefaultOptions()
	options.Log = slog.New(slog.NewJSONHandler(log, nil))
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := newPlay(t, b).peer("c").send(`{"flow":"BOT","direction":"extract","credit":4,"cid":77}`); err != nil {
		t.Fatal(err)
	}
	refused := log.find(t, "BOT refused")
	if len(refused) != 1 || refused[0]["peer"] != "fake c" || refused[0]["reason"] != "rejected" || refused[0]["detail"] == "" {
		t.Errorf("the log has %v", refused)
	}
}

// jsonLog keeps a log.
type jsonLog struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *jsonLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *jsonLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// find returns the lines with that message.
func (l *jsonLog) find(t *testing.T, message string) (found []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var read map[string]any
		if err := json.Unmarshal([]byte(line), &read); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if read["msg"] == message {
			found = append(found, read)
		}
	}
	return found
}
