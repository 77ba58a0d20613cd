package zmtp

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// transcripts are those of testdata/libzmq.
func transcripts(t testing.TB) map[string]*transcript {
	t.Helper()
	files, err := filepath.Glob("testdata/libzmq/*.txt")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	all := map[string]*transcript{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script, err := parseTranscript(text)
		if err != nil {
			t.Fatal(file, err)
		}
		all[filepath.Base(file)] = script
	}
	return all
}

// TestLibzmq plays what libzmq has sent to the same end once more. It sends
// what libzmq has understood, byte for byte, however the bytes are split.
func TestLibzmq(t *testing.T) {
	t.Parallel()
	for name, script := range transcripts(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			speaker := newSpeaker(&script.config, script.random)
			for i, line := range script.lines {
				out, err := speaker.receive(line.received)
				if err != nil && (script.fails == "" || i < len(script.lines)-1) {
					t.Fatalf("line %d: %v", i, err)
				}
				if !bytes.Equal(out, line.sent) {
					t.Fatalf("line %d: sends %x, want %x", i, out, line.sent)
				}
			}
			script.check(t, speaker)
			script.playBytes(t)
		})
	}
}

// check compares what is known of the peer at the end.
func (script *transcript) check(t *testing.T, speaker *speaker) {
	t.Helper()
	if script.fails != "" {
		if _, _, err := speaker.h.Receive(nil); err == nil || asError(err).Cause.String() != script.fails {
			t.Errorf("ended with %v, want %s", err, script.fails)
		}
		return
	}
	if !speaker.h.Done() || *speaker.h.Peer() != script.peer {
		t.Errorf("done: %t, peer %+v, want %+v", speaker.h.Done(), speaker.h.Peer(), script.peer)
	}
	if len(speaker.messages) < 3 || speaker.pings == 0 || len(speaker.pongs) != 1 || string(speaker.pongs[0]) != pingContext {
		t.Errorf("received %d messages, %d PINGs, PONGs %q", len(speaker.messages), speaker.pings, speaker.pongs)
	}
}

// playBytes plays a transcript one byte at a time.
func (script *transcript) playBytes(t *testing.T) {
	t.Helper()
	speaker := newSpeaker(&script.config, script.random)
	var sent, want []byte
	for _, line := range script.lines {
		for _, b := range line.received {
			out, err := speaker.receive([]byte{b})
			if err != nil && script.fails == "" {
				t.Fatal(err)
			}
			sent = append(sent, out...)
		}
		want = append(want, line.sent...)
	}
	if !bytes.Equal(sent, want) {
		t.Errorf("byte by byte it sends %x, want %x", sent, want)
	}
	script.check(t, speaker)
}
