package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/zre/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// beacon is one of a port, in hexadecimal digits.
const beacon = "5a524501" + "000102030405060708090a0b0c0d0e0f"

func TestBeacon_PEER_6(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		beacon + "1600":      nil,
		beacon + "0000":      nil,
		"":                   wire.ErrBeacon,
		"5a5245":             wire.ErrBeacon,
		"5a524401" + "00":    wire.ErrBeacon,
		beacon + "16":        wire.ErrBeacon,
		beacon + "160000":    wire.ErrBeacon,
		"5a524500":           wire.ErrBeaconVersion,
		"5a524502":           wire.ErrBeaconVersion,
		"5a524503" + beacon:  wire.ErrBeaconVersion, // Zyre's, with a CURVE key
		"00" + beacon + "00": wire.ErrBeacon,
	} {
		datagram, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		b, err := wire.ParseBeacon(datagram)
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
		if again := b.Append(nil); err == nil && (!bytes.Equal(again, datagram) || b.UUID.String() != beacon[8:]) {
			t.Errorf("%s is %v, and written %x", text, b, again)
		}
	}
}

// hello is the protocol page's example, of a node with one header.
const hello = "aaa101020001157463703a2f2f3132372e302e302e313a35303030300000000000016200000001" +
	"157a696f2e706f72742e666c6f772e61646472657373" + "000000147463703a2f2f3132372e302e302e313a36303031"

func TestHello_PEER_5(t *testing.T) {
	t.Parallel()
	part, err := hex.DecodeString(hello)
	if err != nil {
		t.Fatal(err)
	}
	want := wire.Message{
		Command: wire.Hello, Sequence: 1, Endpoint: "tcp://127.0.0.1:50000", Name: "b",
		Headers: map[string]string{"zio.port.flow.address": "tcp://127.0.0.1:6001"},
	}
	if got, err := wire.ParseMessage(part); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v (%v), want %+v", got, err, want)
	}
	if got := want.Append(nil); !bytes.Equal(got, part) {
		t.Errorf("written %x, want %x", got, part)
	}
	for n := range part { // cut off anywhere it is none
		if _, err := wire.ParseMessage(part[:n]); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%d bytes of it: %v", n, err)
		}
	}
}

// withCounts is a HELLO with so many groups and headers, of nothing.
func withCounts(groups, headers int) []byte {
	b := []byte("\xaa\xa1\x01\x02\x00\x01\x00")
	b = fmt.Appendf(b, "%c%c%c%c", 0, 0, 0, 0)
	b[len(b)-1], b[len(b)-2] = byte(groups), byte(groups>>8)
	b = append(b, make([]byte, 4*groups)...)
	b = append(b, 0, 0, 0, 0, byte(headers>>8), byte(headers))
	return append(b, make([]byte, 5*headers)...)
}

// TestMessages: the other commands, and what is none.
func TestMessages(t *testing.T) {
	t.Parallel()
	ping := wire.Message{Command: wire.Ping, Sequence: 65535}
	if got, err := wire.ParseMessage(ping.Append(nil)); err != nil || !reflect.DeepEqual(got, ping) {
		t.Errorf("read %+v (%v)", got, err)
	}
	for text, want := range map[string]error{
		"\xaa\xa1\x04\x02\x00\x07\x03abc\x00":              nil, // JOIN
		"\xaa\xa1\x63\x02\x00\x07":                         nil, // who knows what
		"\xaa\xa1\x06\x01\x00\x07":                         wire.ErrVersion,
		"\xaa\xa1\x06\x03\x00\x07":                         wire.ErrVersion,
		"\xaa\xa0\x06\x02\x00\x07":                         wire.ErrMessage,
		"\xaa\xa1\x06\x02\x00":                             wire.ErrMessage,
		"":                                                 wire.ErrMessage,
		string(withCounts(0, 0)):                           nil,
		string(withCounts(wire.MaxGroups, 0)):              nil,
		string(withCounts(0, wire.MaxHeaders)):             nil,
		string(withCounts(wire.MaxGroups+1, 0)):            wire.ErrBounds,
		string(withCounts(0, wire.MaxHeaders+1)):           wire.ErrBounds,
		"\xaa\xa1\x01\x02\x00\x01\x00\xff\xff\xff\xff":     wire.ErrBounds, // groups without end
		"\xaa\xa1\x01\x02\x00\x01\x00\x00\x00\x00\xff":     wire.ErrMessage,
		strings.Repeat("\xaa\xa1", wire.MaxMessage/2+1):    wire.ErrBounds,
		"\xaa\xa1\x01\x02\x00\x01\x00\x00\x00\x00\x00\x00": wire.ErrMessage,
	} {
		if m, err := wire.ParseMessage([]byte(text)); !errors.Is(err, want) || (err == nil) != (want == nil) || err != nil && m.Headers != nil {
			t.Errorf("%.20q: %+v, %v, want %v", text, m, err, want)
		}
	}
}

// TestUTF8: what is kept is valid, whatever comes.
func TestUTF8(t *testing.T) {
	t.Parallel()
	m, err := wire.ParseMessage([]byte("\xaa\xa1\x01\x02\x00\x01\x01\xff\x00\x00\x00\x00\x00\x01\xfe\x00\x00\x00\x01\x01\xfd\x00\x00\x00\x01\xfc"))
	if err != nil || m.Endpoint != "\ufffd" || m.Name != "\ufffd" || m.Headers["\ufffd"] != "\ufffd" {
		t.Errorf("read %+v (%v)", m, err)
	}
}

func TestCheckHello_PEER_3(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 255)
	many := map[string]string{}
	for i := range wire.MaxHeaders + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for _, c := range []struct {
		name    string
		headers map[string]string
		want    string
	}{
		{"", nil, ""},
		{long, map[string]string{long: "v"}, ""},
		{long + "k", nil, "the name has 256 bytes"},
		{"n", map[string]string{long + "k": "v"}, "key has 256 bytes"},
		{"é", nil, "ASCII"},
		{"n", map[string]string{"é": ""}, "ASCII"},
		{"n", map[string]string{"k": "a\nb"}, "the header k has a character"},
		{"n", map[string]string{"k": strings.Repeat("v", wire.MaxMessage)}, "are allowed"},
		{"n", many, "are allowed"},
	} {
		err := wire.CheckHello(c.name, c.headers)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.10q %.20q: %v, want %q", c.name, fmt.Sprint(c.headers), err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{beacon + "1600", hello, hex.EncodeToString(withCounts(3, 2)), "aaa1060200ff"} {
		b, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if beacon, err := wire.ParseBeacon(b); err == nil && !bytes.Equal(beacon.Append(nil), b) {
			t.Errorf("a beacon is written in another way: %x", b)
		}
		m, err := wire.ParseMessage(b)
		if err != nil {
			if m.Headers != nil || m.Name != "" {
				t.Errorf("an error leaves %+v", m)
			}
			return
		}
		if len(b) > wire.MaxMessage || len(m.Headers) > wire.MaxHeaders || !utf8.ValidString(m.Endpoint+m.Name) {
			t.Errorf("beyond the bounds: %d bytes, %d headers", len(b), len(m.Headers))
		}
		if wire.CheckHello(m.Name, m.Headers) != nil || len(m.Endpoint) > 255 {
			return
		}
		if again, err := wire.ParseMessage(m.Append(nil)); err != nil || !reflect.DeepEqual(again, m) {
			if len(m.Headers) > 0 || len(again.Headers) > 0 {
				t.Errorf("written and read again it is %+v (%v), not %+v", again, err, m)
			}
		}
	})
}
