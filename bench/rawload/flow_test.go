package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/bench/generator"
	"github.com/zioflow/gateway/broker/zio"
)

// flowOf is one side of a flow with a relay at its other end.
func flowOf(t *testing.T, s generator.Spec) *flow {
	t.Helper()
	r := &run{Meter: generator.NewMeter(s.Total()), spec: &s, dat: newDat(s.Size), opening: make(chan struct{}, 1)}
	r.opening <- struct{}{}
	r.opened.Add(1)
	to, _ := pair(t)
	return &flow{run: r, pair: 7, conn: to}
}

// hear has a flow handle a message, and returns the labels of what it sends.
func (f *flow) hear(t *testing.T, m *zio.Message) (labels []string, err error) {
	t.Helper()
	var out outbox
	body := make([]byte, 8)
	if m != nil {
		body = m.AppendEncoded(nil)
	}
	if err = f.handle(frame{size: len(body), body: body}, &out); err == nil && f.run.spec.Gives {
		err = f.give(&out)
	}
	for _, m := range unframed(t, out.data) {
		labels = append(labels, string(m.Label))
	}
	return labels, err
}

func labelled(label string) *zio.Message {
	return &zio.Message{Form: zio.FormFlow, Label: []byte(label)}
}

// script has a flow handle messages, and compares what it sends.
func (f *flow) script(t *testing.T, steps [][2]string) {
	t.Helper()
	for i, step := range steps {
		var m *zio.Message
		if step[0] != "hello" {
			m = labelled(step[0])
		}
		if m != nil && strings.Contains(step[0], "DAT") {
			m.Payload = [][]byte{{byte(f.moved), 7: 0}}
		}
		got, err := f.hear(t, m)
		if err != nil || strings.Join(got, " ") != step[1] {
			t.Fatalf("step %d, %s: sent %q, %v; want %s", i, step[0], got, err, step[1])
		}
	}
}

const (
	anyDAT = `{"flow":"DAT"}`
	anyEOT = `{"flow":"EOT"}`
)

// A taker pays all its credit at first, and then in portions of a half.
func TestTaker(t *testing.T) {
	t.Parallel()
	f := flowOf(t, generator.Spec{Gateway: true, Flows: 1, Rounds: 1, Count: 3, Size: 8, Credit: 3})
	f.script(t, [][2]string{
		{`{"flow":"BOT"}`, `{"flow":"PAY","credit":3}`},
		{anyDAT, ""},
		{anyDAT, `{"flow":"PAY","credit":2}`},
		{anyDAT, ""},
		{anyEOT, anyEOT},
	})
	if f.state != over {
		t.Errorf("the flow's state is %d", f.state)
	}
}

// A giver gives what it was paid for when it is to, and begins the next round.
func TestGiver(t *testing.T) {
	t.Parallel()
	f := flowOf(t, generator.Spec{Gives: true, Flows: 1, Rounds: 2, Count: 3, Size: 8, Credit: 3})
	f.script(t, [][2]string{{"hello", ""}, {`{"flow":"PAY","credit":2}`, ""}})
	var out outbox
	f.going = true
	if err := f.give(&out); err != nil || len(unframed(t, out.data)) != 2 {
		t.Fatalf("gave %d messages, %v", len(unframed(t, out.data)), err)
	}
	f.script(t, [][2]string{{`{"flow":"PAY","credit":2}`, anyDAT + " " + anyEOT}, {`{"flow":"PAY","credit":9}`, ""}})
	out.data = nil
	if err := f.handle(frame{size: 35, body: labelled(anyEOT).AppendEncoded(nil)}, &out); err == nil {
		t.Fatal("a frame of the wrong size was accepted")
	}
	eot := labelled(anyEOT).AppendEncoded(nil)
	if err := f.handle(frame{size: len(eot), body: eot}, &out); err != nil {
		t.Fatal(err)
	}
	if want := frameOf([]byte{7, 7: 0}); f.state != opening || f.round != 1 || !bytes.Equal(out.data, want) {
		t.Errorf("in round %d, state %d, it sent %q, want %q", f.round, f.state, out.data, want)
	}
}

func TestFlowRefuses(t *testing.T) {
	t.Parallel()
	wrong := labelled(anyDAT)
	wrong.Payload = [][]byte{{5, 7: 0}}
	for name, test := range map[string]struct {
		spec  generator.Spec
		state state
		m     *zio.Message
		want  string
	}{
		"no answer to BOT":    {generator.Spec{Gateway: true}, opening, labelled(anyEOT), "answer to BOT"},
		"hello of a gateway":  {generator.Spec{Gateway: true}, opening, nil, "answer to BOT"},
		"hello at any time":   {generator.Spec{}, moving, nil, "answer to BOT"},
		"no number":           {generator.Spec{}, moving, labelled(anyDAT), "message 0 of 0 bytes"},
		"another number":      {generator.Spec{}, moving, wrong, "message 5 of 8 bytes came in the place of 0"},
		"cut short":           {generator.Spec{}, moving, labelled(anyEOT), "after 0 of 9 messages"},
		"an error":            {generator.Spec{}, moving, labelled(`{"flow":"EOT","error":"gone"}`), "gone"},
		"PAY to a taker":      {generator.Spec{}, moving, labelled(`{"flow":"PAY","credit":1}`), "taker was sent"},
		"DAT to a giver":      {generator.Spec{Gives: true}, moving, labelled(anyDAT), "giver was sent"},
		"PAY without credit":  {generator.Spec{Gives: true}, moving, labelled(`{"flow":"PAY"}`), "giver was sent"},
		"EOT without the end": {generator.Spec{Gives: true}, moving, labelled(anyEOT), "giver was sent"},
		"no label":            {generator.Spec{}, moving, labelled("x"), "label"},
	} {
		test.spec.Flows, test.spec.Rounds, test.spec.Count, test.spec.Size, test.spec.Credit = 1, 1, 9, 8, 9
		f := flowOf(t, test.spec)
		f.state = test.state
		if _, err := f.hear(t, test.m); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// A PING is answered with its context, also by a flow that waits.
func TestPing(t *testing.T) {
	t.Parallel()
	f := flowOf(t, generator.Spec{Gives: true, Flows: 1, Rounds: 1, Count: 1, Size: 8, Credit: 1})
	ping := appendCommand(nil, "PING", []byte("\x00\x14context"))
	var out outbox
	if err := f.handle(frame{flags: flagCommand, size: len(ping) - shortHead, body: ping[shortHead:]}, &out); err != nil {
		t.Fatal(err)
	}
	if want := appendCommand(nil, "PONG", []byte("context")); !bytes.Equal(out.data, want) {
		t.Errorf("the answer is %q, want %q", out.data, want)
	}
	for name, bad := range map[string]frame{
		"ERROR":         {flagCommand, 9, []byte("\x05ERRORabc")},
		"a short PING":  {flagCommand, 5, []byte("\x04PING")},
		"no name":       {flagCommand, 0, nil},
		"MORE frames":   {flagMore, 3, []byte("abc")},
		"a cut command": {flagCommand, 600, []byte("\x04PING")},
	} {
		if err := f.handle(bad, &out); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// The cid of a later round may come before that of now is over, or after.
func TestAgain(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"before": true, "after": false} {
		f := flowOf(t, generator.Spec{Gives: true, Gateway: true, Flows: 1, Rounds: 2, Size: 8, Credit: 1})
		to, other := pair(t)
		f.conn, f.state, f.going, f.seqno = to, ending, true, 5
		var out outbox
		eot := labelled(anyEOT).AppendEncoded(nil)
		finish := func() error { return f.handle(frame{size: len(eot), body: eot}, &out) }
		again := func() error { return f.again(&out, 99) }
		order := []func() error{finish, again}
		if early {
			slices.Reverse(order)
		}
		for _, do := range append(order, func() error { return out.flush(to) }, to.shut) {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
		if err := other.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var sent bytes.Buffer
		if _, err := sent.ReadFrom(other); err != nil {
			t.Fatal(err)
		}
		want := `{"flow":"BOT","direction":"extract","credit":1,"cid":99}`
		if got := unframed(t, sent.Bytes()); len(got) != 1 || string(got[0].Label) != want || got[0].Seqno != 0 {
			t.Errorf("%s: sent %s", name, fmt.Sprint(got))
		}
	}
}
