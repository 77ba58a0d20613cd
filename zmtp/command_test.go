package zmtp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body, name, data string
		err              error
	}{
		{body: "\x04PING\x00\x00", name: "PING", data: "\x00\x00"},
		{body: "\x05READY", name: "READY"},
		{body: "\x09SUBSCRIBEabc", name: "SUBSCRIBE", data: "abc"},
		{body: "\x03Foobar", name: "Foo", data: "bar"},
		{body: "\xff" + strings.Repeat("A", 256), name: strings.Repeat("A", 255), data: "A"},
		{body: "", err: errNoCommand},
		{body: "\x00PING", err: errNoCommand},
		{body: "\x05PING", err: errNoCommand},
		{body: "\xff" + strings.Repeat("A", 254), err: errNoCommand},
		{body: "\x04PI\nG", err: errCommandName},
		{body: "\x04PI G", err: errCommandName},
		{body: "\x04PI1G", err: errCommandName},
	} {
		name, data, err := ParseCommand([]byte(c.body))
		if name != c.name || string(data) != c.data || !errors.Is(err, c.err) {
			t.Errorf("%q: %q, %q, %v", c.body, name, data, err)
		}
		if err == nil && string(AppendCommand(nil, name, data)) != c.body {
			t.Errorf("%q becomes %q", c.body, AppendCommand(nil, name, data))
		}
	}
}

func TestParseCommandDoesNotAllocate(t *testing.T) {
	for _, known := range []string{"PING", "PONG", "READY", "ERROR", "HELLO", "WELCOME", "INITIATE", "MESSAGE",
		"SUBSCRIBE", "CANCEL", "JOIN", "LEAVE", "DISCONNECT"} {
		body := AppendCommand(nil, known, []byte("data"))
		if n := testing.AllocsPerRun(100, func() {
			if name, _, err := ParseCommand(body); name != known || err != nil {
				t.Fatal(name, err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", known, n)
		}
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ttl     time.Duration
		context string
		frame   string
		read    time.Duration
	}{
		{frame: "\x04\x07\x04PING\x00\x00"},
		{ttl: 2 * time.Second, frame: "\x04\x07\x04PING\x00\x14", read: 2 * time.Second},
		{ttl: 100 * time.Millisecond, context: "c", frame: "\x04\x08\x04PING\x00\x01c", read: 100 * time.Millisecond},
		{ttl: time.Nanosecond, frame: "\x04\x07\x04PING\x00\x01", read: 100 * time.Millisecond},
		{ttl: 101 * time.Millisecond, frame: "\x04\x07\x04PING\x00\x02", read: 200 * time.Millisecond},
		{ttl: 6553500 * time.Millisecond, frame: "\x04\x07\x04PING\xff\xff", read: 6553500 * time.Millisecond},
		{ttl: 1 << 62, frame: "\x04\x07\x04PING\xff\xff", read: 6553500 * time.Millisecond},
		{ttl: -time.Second, frame: "\x04\x07\x04PING\x00\x00"},
		{context: "0123456789abcdefg", frame: "\x04\x17\x04PING\x00\x000123456789abcdef"},
	} {
		frame := AppendPing([]byte("x"), c.ttl, []byte(c.context))
		if string(frame) != "x"+c.frame {
			t.Errorf("%v, %q: %q", c.ttl, c.context, frame)
		}
		name, data := parseFrame(t, frame[1:])
		ttl, context, err := ParsePing(data)
		if name != "PING" || ttl != c.read || string(context) != c.context[:min(16, len(c.context))] || err != nil {
			t.Errorf("%q: %s, %v, %q, %v", frame, name, ttl, context, err)
		}
		pong := AppendPong([]byte("x"), []byte(c.context))
		if name, data := parseFrame(t, pong[1:]); pong[0] != 'x' || name != "PONG" || !bytes.Equal(data, context) {
			t.Errorf("%q", pong)
		}
	}
	for data, want := range map[string]error{"": errShortPing, "\x00": errShortPing, "\x00\x000123456789abcdefg": errPingContext} {
		if _, _, err := ParsePing([]byte(data)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", data, err, want)
		}
	}
}

// parseFrame takes one command's frame apart.
func parseFrame(t *testing.T, frame []byte) (name string, data []byte) {
	t.Helper()
	h, n, err := ParseHeader(frame)
	if err != nil || n == 0 || !h.Command || int(h.Size) != len(frame)-n {
		t.Fatalf("%q is no frame of a command: %+v, %d, %v", frame, h, n, err)
	}
	name, data, err = ParseCommand(frame[n:])
	if err != nil {
		t.Fatal(err)
	}
	return name, data
}

func TestErrorCommand(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"":                       "",
		"Invalid socket type":    "Invalid socket type",
		"a\nb\x00c\x7fd":         "a?b?c?d",
		"größe":                  "gr??e",
		"\xff\xfe":               "??",
		strings.Repeat("x", 300): strings.Repeat("x", 255),
		strings.Repeat("y", 256): strings.Repeat("y", 255),
		strings.Repeat("z", 255): strings.Repeat("z", 255),
		strings.Repeat("é", 300): strings.Repeat("?", 128),
	} {
		frame := AppendError([]byte("x"), reason)
		name, data := parseFrame(t, frame[1:])
		got, err := ParseError(data)
		if name != "ERROR" || got != want || err != nil {
			t.Errorf("%q: %s, %q, %v", reason, name, got, err)
		}
	}
	for data, want := range map[string]string{"\x00": "", "\x00abc": "", "\x03abcd": "abc"} {
		if got, err := ParseError([]byte(data)); got != want || err != nil {
			t.Errorf("%q: %q, %v", data, got, err)
		}
	}
	for _, data := range []string{"", "\x01", "\xffabc"} {
		if _, err := ParseError([]byte(data)); !errors.Is(err, errShortError) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

type secretive struct{}

func (secretive) Error() string  { return "the password is 1234" }
func (secretive) Reason() string { return "wrong password\n" }

func TestReason(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"no":                     errors.New("no"),
		"wrong password?":        fmt.Errorf("peer 7: %w", secretive{}),
		strings.Repeat("x", 255): errors.New(strings.Repeat("x", 1000)),
	} {
		if got := Reason(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
