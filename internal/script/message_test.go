package script_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/zioflow/gateway/internal/script"
)

func TestParseMessage(t *testing.T) {
	t.Parallel()
	x := strings.Repeat("x", 200)
	for _, tt := range []struct {
		text, label string
		payload     []string
		words       []script.Pair
		again       string // if not the text
	}{
		{text: `{"flow":"DAT"}`, label: `{"flow":"DAT"}`},
		{text: `{ "a": [1, "}"] } "one" "" "\x00\"" seqno 3 from c`, label: `{ "a": [1, "}"] }`, payload: []string{"one", "", "\x00\""},
			words: []script.Pair{{Word: "seqno", Value: "3"}, {Word: "from", Value: "c"}}},
		{text: `{"x":"*200"} *12 *0 *2x4`, label: `{"x":"` + x + `"}`, payload: []string{"012345678901", "", "01", "01", "01", "01"},
			again: `{"x":"*200"} *12 "" *2x4`},
		{text: `"no JSON"`, label: "no JSON"},
		{text: `"{}"`, label: "{}", again: "{}"},
		{text: `""`, label: ""},
		{text: `DAT *1`, label: `{"flow":"DAT"}`, payload: []string{"0"}, again: `{"flow":"DAT"} "0"`},
		{text: `EOT seqno 2`, label: `{"flow":"EOT"}`, words: []script.Pair{{Word: "seqno", Value: "2"}}, again: `{"flow":"EOT"} seqno 2`},
		{text: `PAY -1.5`, label: `{"flow":"PAY","credit":-1.5}`, again: `{"flow":"PAY","credit":-1.5}`},
		{text: `PAY queued 1`, label: `{"flow":"PAY"}`, words: []script.Pair{{Word: "queued", Value: "1"}}, again: `{"flow":"PAY"} queued 1`},
		{text: `BOT inject 4 "h"`, label: `{"flow":"BOT","direction":"inject","credit":4}`, payload: []string{"h"},
			again: `{"flow":"BOT","direction":"inject","credit":4} "h"`},
		{text: `BOT 4`, label: `{"flow":"BOT","credit":4}`, again: `{"flow":"BOT","credit":4}`},
	} {
		m, err := script.ParseMessage(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		var payload []string
		for _, part := range m.Payload {
			payload = append(payload, string(part))
		}
		if string(m.Label) != tt.label || !reflect.DeepEqual(payload, tt.payload) || !reflect.DeepEqual(m.Words, tt.words) {
			t.Errorf("%s is read as %s %q %v", tt.text, m.Label, payload, m.Words)
		}
		want := tt.again
		if want == "" {
			want = tt.text
		}
		if got := m.String(); got != want {
			t.Errorf("%s is written as %s", tt.text, got)
		}
	}
}

func TestParseMessageErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "there is no label",
		"nonsense":               `"nonsense" is no label: want JSON, a quoted text, or BOT, PAY, DAT, EOT`,
		"DAT seqno":              `"seqno" is neither payload nor a word with a value`,
		`DAT "\q"`:               `"\q" is no quoted text as Go has it`,
		"DAT *-1":                `"-1": want a number up to 268435456`,
		"DAT *1x99999999999":     `"99999999999": want a number up to 268435456`,
		"DAT *1000000x1000000":   "*1000000x1000000 stands for too much",
		`{"x":"*999999999999"}`:  `"999999999999": want a number up to 268435456`,
		`{"flow":"DAT"} "a" "no`: `the quote has no end: "no`,
	} {
		if _, err := script.ParseMessage(text); err == nil || err.Error() != want {
			t.Errorf("%q is refused with %v\nwant %s", text, err, want)
		}
	}
	m, err := script.ParseMessage("DAT seqno x level 1")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Number("seqno"); err == nil || err.Error() != "seqno x: want a number" {
		t.Errorf("the error is %v", err)
	}
	if err := m.Only("seqno", "origin"); err == nil || !strings.Contains(err.Error(), `"level"`) {
		t.Errorf("the error is %v", err)
	}
}

func TestParseBytes(t *testing.T) {
	t.Parallel()
	parts, err := script.ParseBytes(`| 16 "Hi" 00*3 | ff | `)
	if err != nil || len(parts) != 4 || string(parts[1]) != "\x16Hi\x00\x00\x00" || string(parts[2]) != "\xff" {
		t.Errorf("read as %q, %v", parts, err)
	}
	for text, want := range map[string]string{
		"1":            `"1" are no bytes: want hexadecimal, a quoted text, or 00*24`,
		"00*x":         `"x": want a number up to 268435456`,
		"0000*2e8":     `"2e8": want a number up to 268435456`,
		"00 \"":        `the quote has no end: "`,
		"ff*999999999": `"999999999": want a number up to 268435456`,
	} {
		if _, err := script.ParseBytes(text); err == nil || err.Error() != want {
			t.Errorf("%q is refused with %v\nwant %s", text, err, want)
		}
	}
}

func TestSameValue(t *testing.T) {
	t.Parallel()
	got := []byte(`{"b": 18446744073709551617, "detail":"why"}`)
	for want, same := range map[string]bool{
		`{"detail":"why","b":18446744073709551617}`:       true,
		`{"detail":"*","b":18446744073709551617}`:         true,
		`{"detail":"*","b":"*"}`:                          false, // which is no text
		`{"detail":"*"}`:                                  false,
		`{"detail":"*","b":18446744073709551616}`:         false,
		`{"detail":"*","b":18446744073709551617,"c":"*"}`: false,
		`nonsense`: false,
	} {
		if err := script.SameValue(got, []byte(want)); (err == nil) != same {
			t.Errorf("%s: %v", want, err)
		}
	}
	if script.SamePayload([][]byte{{1}, {2}}, [][]byte{{1, 2}}) == nil || script.SamePayload([][]byte{{1}}, [][]byte{{1}}) != nil {
		t.Error("payloads are not compared part by part")
	}
}

// FuzzParseMessage: what is read, written and read again is the same.
func FuzzParseMessage(f *testing.F) {
	f.Add(`{"flow":"DAT","x":"*200"} "a" *12 *1x5 seqno 3`)
	f.Add(`BOT extract 4 "\xff" level 8`)
	f.Add(`"\u2028{" ""`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := script.ParseMessage(text)
		if err != nil || m.Size() > 1<<20 {
			return
		}
		again, err := script.ParseMessage(m.String())
		if err != nil {
			t.Fatalf("%q is written as %q, which is refused: %v", text, m.String(), err)
		}
		if string(again.Label) != string(m.Label) || script.SamePayload(again.Payload, m.Payload) != nil || !reflect.DeepEqual(again.Words, m.Words) {
			t.Fatalf("%q is written as %q, which is read as %q", text, m.String(), again.String())
		}
	})
}
