package transfer

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// hostile is a label that would clear a terminal, turn its writing round, and end a line.
const hostile = "{\"flow\":\"DAT\",\"name\":\"\\u001b[2J\u202eexe.\u0085\",\"n\":\n1, \"😀\":\"\x7f\"}"

// TestTail: on each way, a line for each message, in which nothing steers a terminal; Ctrl-C
// is how it ends.
func TestTail(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, via := range vias {
		t.Run(via, func(t *testing.T) {
			t.Parallel()
			tail := s.command(t, via, "tail", "--match=attributes.to == '"+via+"'")
			notes, err := tail.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := tail.StdoutPipe()
			if err == nil {
				err = tail.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			readUntil(t, notes, "waiting for a flow")
			g := s.dial(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			giver, err := g.Give(ctx, zioflow.Bot{Attributes: map[string]any{"to": via}})
			if err == nil {
				err = giver.Put(ctx, zioflow.Dat{Label: []byte(hostile), Payload: [][]byte{make([]byte, 2048)}})
			}
			if err != nil {
				t.Fatal(err)
			}
			shown := readUntil(t, out, "\n")
			want := `      1    2.0 KiB  {"flow":"DAT","name":"\u001b[2J\u202eexe.\u0085","n": 1, "😀":"\u007f"}` + "\n"
			if shown != want {
				t.Errorf("shown is\n%q, want\n%q", shown, want)
			}
			if err := tail.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			told, _ := io.ReadAll(notes)
			_ = tail.Wait()
			if code := tail.ProcessState.ExitCode(); code != 0 || !strings.Contains(string(told), "took 1 messages, 2048 bytes") {
				t.Errorf("the exit code is %d, told was %s", code, told)
			}
		})
	}
}

// TestTailJSON: the label comes whole, as text.
func TestTailJSON(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := &lines{out: &out, json: true}
	if err := l.take(zioflow.Dat{Label: []byte(hostile), Payload: [][]byte{{1}, nil, {2, 3}}, Seqno: 7, Granule: 8, Origin: 9}); err != nil {
		t.Fatal(err)
	}
	for _, r := range strings.TrimSuffix(out.String(), "\n") {
		if r < ' ' || r > '~' {
			t.Errorf("%q is in %q", r, out.String())
		}
	}
	var got seen
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got.Label != hostile || got.Bytes != 3 || len(got.Parts) != 3 || got.Seqno != 7 || got.Granule != 8 || got.Origin != 9 {
		t.Errorf("%+v (%v)", got, err)
	}
}

// TestTailCount ends a flow that goes on.
func TestTailCount(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, via := range vias {
		got := run(t, s.command(t, via, "tail", "-n", "3", "builtin=generate", "count=1000000"))
		if got.code != 0 || strings.Count(got.out, "\n") != 3 || !strings.Contains(got.err, "took 3 messages") {
			t.Errorf("%s: %+v", via, got)
		}
	}
}
